"""What a Request may ask for besides a plain GET: another host, a body, feeds, answers that have not changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from shared.bus import open_redis
from shared.bus.budgets import Budgets
from shared.channels import Channels
from shared.errors import ProviderError
from shared.settings import Settings
from tests.workers.upstream import OK, Upstream, reply
from workers.asking.client import open_client, source_label
from workers.asking.fetch import Fetcher
from workers.asking.provider import Request

FEED = b"<?xml version='1.0'?><rss><channel/></rss>"


async def ask(fetcher: Fetcher, upstream: Upstream, request: Request[bytes]) -> bytes:
    """One request with five seconds' time."""
    return await fetcher.asker(upstream, 5.0)(request)


async def test_a_body_makes_it_a_post_of_json(fetcher: Fetcher, upstream: Upstream) -> None:
    """JSON-RPC is POSTed, with its type and its length."""
    await ask(fetcher, upstream, Request("", bytes, body=b'{"id":1}'))
    assert upstream.bodies == [b'{"id":1}']
    assert upstream.heads[0].startswith("POST / HTTP/1.1")
    assert "content-type: application/json" in upstream.heads[0].lower()


async def test_headers_of_a_request_win(fetcher: Fetcher, upstream: Upstream) -> None:
    """A form is sent as one, with the credentials that only this request needs."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic eDp5"}
    await ask(fetcher, upstream, Request("/token", bytes, body=b"a=b", headers=headers))
    assert "content-type: application/x-www-form-urlencoded" in upstream.heads[0].lower()
    assert "application/json\r\n" not in upstream.heads[0]
    assert "authorization: basic edp5" in upstream.heads[0].lower()


async def test_a_request_may_name_another_host(fetcher: Fetcher, upstream: Upstream) -> None:
    """A provider with two hosts says which one a request is for."""
    here, upstream.base_url = upstream.base_url, "http://127.0.0.1:1"
    assert await ask(fetcher, upstream, Request("/x", bytes, base_url=here)) == b'{"a":1}'


async def test_the_path_of_the_base_url_stays(fetcher: Fetcher, upstream: Upstream) -> None:
    """A node's address may hold a path; a request without one of its own goes exactly there."""
    upstream.base_url += "/v3/key"
    await ask(fetcher, upstream, Request("", bytes, body=b"{}"))
    assert upstream.heads[0].startswith("POST /v3/key HTTP/1.1")


async def test_a_feed_may_begin_with_a_tag(fetcher: Fetcher, upstream: Upstream) -> None:
    """Markup is an error page, unless it was asked for; HTML always is, whatever their labels say."""
    upstream.answers = [reply("200 OK", FEED, "content-type: application/xml")]
    assert await ask(fetcher, upstream, Request("/rss", bytes, markup=True)) == FEED
    with pytest.raises(ProviderError, match="HTML"):
        await ask(fetcher, upstream, Request("/rss", bytes))
    upstream.answers = [reply("200 OK", FEED, "content-type: text/html; charset=utf-8")]
    assert await ask(fetcher, upstream, Request("/rss", bytes, markup=True)) == FEED
    upstream.answers = [reply("200 OK", b"<html>", "content-type: application/xml")]
    with pytest.raises(ProviderError, match="HTML"):
        await ask(fetcher, upstream, Request("/rss", bytes, markup=True))


async def test_a_request_bounds_its_own_answer(fetcher: Fetcher, upstream: Upstream) -> None:
    """An answer beyond the request's limit is refused while it is read, not after."""
    upstream.answers = [reply("200 OK", b"1" * 65537)]
    with pytest.raises(ProviderError, match=r"larger than 0\.0625 MiB"):
        await ask(fetcher, upstream, Request("/big", bytes, limit=65536))
    assert len(await ask(fetcher, upstream, Request("/big", bytes, limit=65537))) == 65537


async def test_what_has_not_changed_is_not_sent_again(fetcher: Fetcher, upstream: Upstream) -> None:
    """The second request carries the first answer's ETag and date; "not modified" gives that answer again."""
    date = "Mon, 23 Nov 2026 10:00:00 GMT"
    parsed: list[bytes] = []

    def parse(body: bytes) -> bytes:
        parsed.append(body)
        return body

    request = Request("/rss", parse, conditional=True)
    upstream.answers = [
        reply("200 OK", b"[1]", 'etag: "v1"', f"last-modified: {date}"),
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        reply("200 OK", b"[2]", 'etag: "v2"'),
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
    ]
    answers = [await ask(fetcher, upstream, request) for _ in range(5)]
    assert answers == [b"[1]", b"[1]", b"[1]", b"[2]", b"[2]"]
    assert parsed == [b"[1]", b"[2]"]
    heads = [head.lower() for head in upstream.heads]
    assert "if-none-match" not in heads[0]
    assert 'if-none-match: "v1"' in heads[1]
    assert f"if-modified-since: {date.lower()}" in heads[1]
    assert 'if-none-match: "v2"' in heads[4]
    assert "if-modified-since" not in heads[4]


async def test_not_modified_without_an_answer_before_is_an_error(fetcher: Fetcher, upstream: Upstream) -> None:
    """A 304 that nobody asked for has no answer to repeat; nor has one after an answer that could not be used."""
    upstream.answers = [b"HTTP/1.1 304 Not Modified\r\n\r\n"]
    with pytest.raises(ProviderError, match="HTTP 304"):
        await ask(fetcher, upstream, Request("/rss", bytes, conditional=True))

    def refuse(body: bytes) -> bytes:
        raise ProviderError("acme", "half a feed")

    upstream.answers = [reply("200 OK", b"[", 'etag: "v1"'), OK]
    with pytest.raises(ProviderError, match="half"):
        await ask(fetcher, upstream, Request("/rss", refuse, conditional=True))
    await ask(fetcher, upstream, Request("/rss", bytes, conditional=True))
    assert all("if-none-match" not in head.lower() for head in upstream.heads)


@pytest.fixture
async def simulated(settings: Settings) -> AsyncIterator[Fetcher]:
    """A Fetcher with a simulator's address at which nobody listens."""
    redis = open_redis(settings)
    async with open_client(settings.model_copy(update={"simulator_url": "http://127.0.0.1:1"})) as client:
        yield Fetcher(client, Budgets(redis, Channels(settings.redis_prefix)))
    await redis.aclose()


async def test_a_node_of_this_machine_is_no_matter_for_the_simulator(simulated: Fetcher, upstream: Upstream) -> None:
    """A node on this machine is asked directly, also with a simulator for the upstreams."""
    assert await ask(simulated, upstream, Request("/x", bytes)) == b'{"a":1}'
    upstream.base_url = "http://node.example"
    with pytest.raises(ProviderError, match="ConnectError"):
        await ask(simulated, upstream, Request("/x", bytes))


async def test_remembered_answers_are_bounded(fetcher: Fetcher, upstream: Upstream) -> None:
    """Beyond 64 remembered answers, the least recently used one is dropped."""
    upstream.answers = [reply("200 OK", b"[1]", 'etag: "v1"')]
    upstream.budget = type(upstream.budget)(1000, 60.0)
    for number in range(65):
        await ask(fetcher, upstream, Request(f"/{number}", bytes, conditional=True))
    await asyncio.gather(
        *(ask(fetcher, upstream, Request(f"/{number}", bytes, conditional=True)) for number in (0, 64))
    )
    by_path = {head.split()[1]: head.lower() for head in upstream.heads[65:]}
    assert "if-none-match" not in by_path["/0"]
    assert "if-none-match" in by_path["/64"]


def test_a_node_of_this_machine_is_not_called_simulated(settings: Settings) -> None:
    """What the simulator did not produce does not say so."""
    nodes = "ethereum/mine=http://127.0.0.1:8545, ethereum/far=https://node.example/v3/key ethereum/six=http://[::1]:1"
    simulated = settings.model_copy(update={"simulator_url": "http://127.0.0.1:1", "rpc_nodes": SecretStr(nodes)})
    assert source_label("ethereum/mine", simulated) == "ethereum/mine"
    assert source_label("ethereum/six", simulated) == "ethereum/six"
    assert source_label("ethereum/far", simulated) == "ethereum/far (simulated)"
    assert source_label("mempool", simulated) == "mempool (simulated)"
