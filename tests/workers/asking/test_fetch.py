"""Fetcher over real sockets: each way an upstream fails is a ProviderError, and none is asked beyond its budget."""

from __future__ import annotations

import gzip
import time
from email.utils import formatdate

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from shared.budget import Budget
from shared.bus import open_redis
from shared.bus.budgets import Budgets
from shared.channels import Channels
from shared.errors import BusError, ProviderError, RateBudgetError
from shared.settings import Settings
from tests.workers.upstream import OK, SECRET, Upstream, reply
from workers.asking.client import open_client, source_label
from workers.asking.fetch import Fetcher
from workers.asking.provider import Request, StatusError

PACKED_TWICE = gzip.compress(gzip.compress(b"[1, 2, 3]", mtime=0), mtime=0)


async def get(fetcher: Fetcher, upstream: Upstream, *, cost: int = 1, seconds: float = 5.0) -> bytes:
    """One request with a key in its query, as some providers have it."""
    request = Request("/v1/coins", bytes, {"apikey": SECRET}, cost=cost)
    return await fetcher.asker(upstream, seconds)(request)


async def failure(fetcher: Fetcher, upstream: Upstream, *, seconds: float = 5.0) -> ProviderError:
    """The error of one request; no error ever holds the key or the address."""
    with pytest.raises(ProviderError) as caught:
        await get(fetcher, upstream, seconds=seconds)
    assert caught.value.provider == "acme"
    assert SECRET not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    return caught.value


async def test_an_answer_is_parsed(fetcher: Fetcher, upstream: Upstream) -> None:
    """The body reaches `parse`; the request has our User-Agent, accepted types and the provider's headers."""
    assert await get(fetcher, upstream) == b'{"a":1}'
    head = upstream.heads[0].lower()
    assert head.startswith(f"get /v1/coins?apikey={SECRET.lower()} http/1.1")
    assert "user-agent: coinwire/" in head
    assert "accept: application/json" in head
    assert f"x-key: {SECRET.lower()}" in head


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "451 No", "500 Oops", "503 No", "204 Nothing"])
async def test_a_status_that_is_not_200_is_a_provider_error(fetcher: Fetcher, upstream: Upstream, status: str) -> None:
    """The status is judged before the body, even when that is JSON."""
    upstream.answers = [reply(status)]
    error = await failure(fetcher, upstream)
    assert isinstance(error, StatusError)
    assert error.status == int(status[:3])
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("status", "value", "pause"),
    [("429 No", "120", 120), ("429 No", "99999999", 3600), ("418 No", "600", 600), ("418 No", "9999999", 3 * 86400)],
)
async def test_retry_after_stops_the_whole_cluster(
    fetcher: Fetcher, upstream: Upstream, status: str, value: str, pause: float
) -> None:
    """The pause of a 429 or 418 is in the error, capped, and no worker may call before it ends."""
    upstream.answers = [reply(status, b"{}", f"Retry-After: {value}")]
    assert (await failure(fetcher, upstream)).retry_after == pause
    with pytest.raises(RateBudgetError) as caught:
        await get(fetcher, upstream)
    assert caught.value.retry_after == pytest.approx(pause, abs=5)
    assert len(upstream.heads) == 1


async def test_retry_after_may_be_a_date(fetcher: Fetcher, upstream: Upstream) -> None:
    """An HTTP-date is held against our clock, where the answer has no date of its own."""
    date = formatdate(time.time() + 90, usegmt=True)
    upstream.answers = [reply("429 Too Many Requests", b"{}", f"Retry-After: {date}")]
    assert (await failure(fetcher, upstream)).retry_after == pytest.approx(90, abs=3)


@pytest.mark.parametrize("ahead", [-3600, 3600])
async def test_a_retry_after_date_is_held_against_that_of_the_answer(
    fetcher: Fetcher, upstream: Upstream, ahead: float
) -> None:
    """The pause is right although the clock of the upstream, or ours, is an hour wrong."""
    sent, date = (formatdate(time.time() + ahead + seconds, usegmt=True) for seconds in (0, 90))
    upstream.answers = [reply("429 Too Many Requests", b"{}", f"Retry-After: {date}", f"Date: {sent}")]
    assert (await failure(fetcher, upstream)).retry_after == 90


@pytest.mark.parametrize("label", ["text/html; charset=UTF-8", "text/plain", "application/xml", "x"])
async def test_the_label_of_data_does_not_matter(fetcher: Fetcher, upstream: Upstream, label: str) -> None:
    """JSON is JSON, whatever type its server gives it."""
    upstream.answers = [reply("200 OK", b'{"a":1}', f"content-type: {label}")]
    assert await get(fetcher, upstream) == b'{"a":1}'


@pytest.mark.parametrize("header", ["X-Other: 1", "Retry-After: soon", "Retry-After: 0", "Retry-After: nan"])
async def test_a_429_without_a_usable_pause_blocks_nobody(fetcher: Fetcher, upstream: Upstream, header: str) -> None:
    """Without the upstream's pause the error has none, and the next call may be made."""
    upstream.answers = [reply("429 Too Many Requests", b"<html>", header, "content-type: text/html"), OK]
    assert (await failure(fetcher, upstream)).retry_after is None
    assert await get(fetcher, upstream) == b'{"a":1}'


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply("200 OK", b"Access denied", "content-type: text/html; charset=utf-8"), "HTML instead of data"),
        (reply("200 OK", b"\n<!DOCTYPE html>", "content-type: application/json"), "HTML instead of data"),
        (reply("200 OK", b"", "content-type: application/json"), "empty answer"),
        (reply("200 OK", b" \r\n"), "empty answer"),
        (reply("200 OK", b"x" * (8 * 1024 * 1024 + 1)), "answer larger than 8 MiB"),
        (reply("200 OK", gzip.compress(bytes(9 << 20), mtime=0), "content-encoding: gzip"), "answer larger than 8 MiB"),
        (reply("200 OK", PACKED_TWICE, "content-encoding: gzip, gzip"), "compressed more than once"),
        (reply("200 OK", PACKED_TWICE, *["content-encoding: gzip"] * 2), "compressed more than once"),
        (reply("200 OK", b"not gzip", "content-encoding: gzip"), "connection: DecodingError"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n[1, 2", "connection: RemoteProtocolError"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\n[1, 2", "connection: RemoteProtocolError"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "connection: RemoteProtocolError"),
        (b"", "connection: RemoteProtocolError"),
    ],
    ids=[
        "html",
        "html-as-json",
        "empty",
        "blank",
        "oversize",
        "gzip-bomb",
        "gzip-in-gzip",
        "gzip-in-gzip-told-in-two-lines",
        "gzip",
        "cut",
        "cut-chunk",
        "ssh",
        "closed",
    ],
)
async def test_a_200_that_is_no_answer_is_a_provider_error(
    fetcher: Fetcher, upstream: Upstream, answer: bytes, reason: str
) -> None:
    """HTML, nothing, too much, or half of it."""
    upstream.answers = [answer]
    assert (await failure(fetcher, upstream)).reason == reason


@pytest.mark.parametrize("sent", [b"", OK[:-3]], ids=["before-the-answer", "in-the-body"])
async def test_a_hanging_upstream_ends_with_the_deadline(fetcher: Fetcher, upstream: Upstream, sent: bytes) -> None:
    """However far it got, an attempt ends when its time is up."""
    upstream.answers, upstream.hang = [sent], True
    began = time.monotonic()
    assert (await failure(fetcher, upstream, seconds=0.2)).reason == "no answer within 0.2 s"
    assert time.monotonic() - began < 2


async def test_a_refused_connection_is_a_provider_error(fetcher: Fetcher, upstream: Upstream) -> None:
    """A refused connection is a failure like any other."""
    upstream.base_url = "http://127.0.0.1:1"
    assert (await failure(fetcher, upstream)).reason == "connection: ConnectError"


async def test_a_redirect_within_the_host_is_followed(fetcher: Fetcher, upstream: Upstream) -> None:
    """A missing slash costs one more request."""
    upstream.answers = [reply("301 Moved", b"<a>Moved</a>", "Location: /v1/coins/", "Connection: close"), OK]
    assert await get(fetcher, upstream) == b'{"a":1}'
    assert upstream.heads[1].startswith("GET /v1/coins/ ")


async def test_redirects_are_bounded(fetcher: Fetcher, upstream: Upstream) -> None:
    """A loop ends after three."""
    upstream.answers = [reply("302 Found", b"", "Location: /v1/coins", "Connection: close")]
    assert (await failure(fetcher, upstream)).reason == "more than 3 redirects"
    assert len(upstream.heads) == 4


@pytest.mark.parametrize("target", ["http://elsewhere.invalid/", "ftp://127.0.0.1/", "http://[bad/"])
async def test_a_redirect_elsewhere_is_refused(fetcher: Fetcher, upstream: Upstream, target: str) -> None:
    """Our key stays with the host it is for."""
    upstream.answers = [reply("302 Found", b"", f"Location: {target}")]
    await failure(fetcher, upstream)
    assert len(upstream.heads) == 1


async def test_a_parse_error_passes_through(fetcher: Fetcher, upstream: Upstream) -> None:
    """What `parse` raises reaches the caller with its field."""

    def parse(body: bytes) -> None:
        raise ProviderError("acme", "wrong", field="$.a")

    with pytest.raises(ProviderError, match=r"field \$\.a"):
        await fetcher.asker(upstream, 5.0)(Request("/", parse))


async def test_a_budget_is_shared_by_the_cluster(settings: Settings, redis: Redis, upstream: Upstream) -> None:
    """Two workers together stay within the budget; the refusal has the time until the next call."""
    upstream.budget = Budget(5, 60.0)
    async with httpx.AsyncClient() as client:
        one, two = (Fetcher(client, Budgets(redis, Channels(settings.redis_prefix))) for _ in range(2))
        await get(one, upstream, cost=2)
        await get(two, upstream, cost=3)
        for fetcher in (one, two):
            with pytest.raises(RateBudgetError) as caught:
                await get(fetcher, upstream)
            assert 0 < (caught.value.retry_after or 0) <= 60
    assert len(upstream.heads) == 2


async def test_without_redis_nothing_is_asked(upstream: Upstream, settings: Settings) -> None:
    """A call that can't be counted is not made: that is a failure of Redis, not of the provider."""
    lost = open_redis(settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")}))
    async with httpx.AsyncClient() as client:
        with pytest.raises(BusError):
            await get(Fetcher(client, Budgets(lost, Channels("x"))), upstream)
    await lost.aclose()
    assert upstream.heads == []


async def test_the_simulator_gets_every_request_with_its_host(
    settings: Settings, redis: Redis, upstream: Upstream
) -> None:
    """With SIMULATOR_URL the same request goes there, Host unchanged, and the source's label says so."""
    simulated = settings.model_copy(update={"simulator_url": upstream.base_url})
    upstream.base_url = "https://api.acme.example/v3"
    async with open_client(simulated) as client:
        fetcher = Fetcher(client, Budgets(redis, Channels(settings.redis_prefix)))
        assert await get(fetcher, upstream) == b'{"a":1}'
    assert upstream.heads[0].startswith("GET /v3/v1/coins?")
    assert "host: api.acme.example\r\n" in upstream.heads[0].lower()
    assert source_label("acme", simulated) == "acme (simulated)"
    assert source_label("acme", settings) == "acme"
