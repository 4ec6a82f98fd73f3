"""What the headers of an answer say besides its body: where more of it is, and when to ask again."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from shared.errors import ProviderError, RateBudgetError
from tests.workers.upstream import OK, Upstream, reply
from workers.asking.fetch import Fetcher
from workers.asking.provider import Request

LIMITED = "429 Too Many Requests"


def with_link(body: bytes, headers: Mapping[str, str]) -> bytes:
    """The body and where the next one is."""
    return body + b" " + headers.get("LINK", "nowhere").encode()


async def ask(fetcher: Fetcher, upstream: Upstream, request: Request[bytes]) -> bytes:
    """One request with five seconds' time."""
    return await fetcher.asker(upstream, 5.0)(request)


async def test_headers_complete_an_answer(fetcher: Fetcher, upstream: Upstream) -> None:
    """A request may take from the headers what the body has not, whatever case they are in."""
    upstream.answers = [reply("200 OK", b"[1]", "lInK: </2>"), reply("200 OK", b"[2]")]
    request = Request("/1", bytes, complete=with_link)
    assert await ask(fetcher, upstream, request) == b"[1] </2>"
    assert await ask(fetcher, upstream, request) == b"[2] nowhere"


async def test_an_answer_that_has_not_changed_stays_complete(fetcher: Fetcher, upstream: Upstream) -> None:
    """ "Not modified" gives the answer as it was completed, though its own headers say nothing."""
    upstream.answers = [reply("200 OK", b"[1]", "link: </2>", 'etag: "v1"'), b"HTTP/1.1 304 Not Modified\r\n\r\n"]
    request = Request("/1", bytes, conditional=True, complete=with_link)
    assert await ask(fetcher, upstream, request) == b"[1] </2>"
    assert await ask(fetcher, upstream, request) == b"[1] </2>"
    assert 'if-none-match: "v1"' in upstream.heads[1].lower()


async def test_headers_that_make_no_sense_fail_the_call(fetcher: Fetcher, upstream: Upstream) -> None:
    """What they are completed with may refuse an answer; it is then not remembered."""

    def refuse(body: bytes, headers: Mapping[str, str]) -> bytes:
        raise ProviderError("acme", "elsewhere", field="Link")

    upstream.answers = [reply("200 OK", b"[1]", 'etag: "v1"')]
    with pytest.raises(ProviderError, match="elsewhere"):
        await ask(fetcher, upstream, Request("/1", bytes, conditional=True, complete=refuse))
    assert await ask(fetcher, upstream, Request("/1", bytes, conditional=True)) == b"[1]"
    assert "if-none-match" not in upstream.heads[1].lower()


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        (('ratelimit: "api";r=0;t=55', 'ratelimit-policy: "fixed window";"api";q=500;w=300'), 55),
        (('RateLimit: "pages";r=3;t=300, "api";r=0;t=55',), 55),
        (('RateLimit: "api"; r=0; t=7 , "resolvers";r=0;t=9',), 9),
        (('RateLimit: "api";t=55;r=0',), 55),
        (('RateLimit: "api";r=0;t=999999',), 3600),
        (('RateLimit: "api";r=0;t=55', "Retry-After: 5"), 5),
    ],
)
async def test_a_limit_that_is_used_up_says_how_long_to_wait(
    fetcher: Fetcher, upstream: Upstream, headers: tuple[str, ...], pause: float
) -> None:
    """Without Retry-After, a 429 is obeyed by limits in RateLimit of which nothing is left, by the whole cluster."""
    upstream.answers = [reply(LIMITED, b"{}", *headers)]
    with pytest.raises(ProviderError) as caught:
        await ask(fetcher, upstream, Request("/1", bytes))
    assert caught.value.retry_after == pause
    with pytest.raises(RateBudgetError):
        await ask(fetcher, upstream, Request("/1", bytes))
    assert len(upstream.heads) == 1


@pytest.mark.parametrize(
    "value",
    ['"api";r=0', '"api";r=5;t=55', '"api";r=0;t=0', '"api";r=0;t=-5', '"api";r=0;t=soon', "", ";;,;", "r=0;t=5"],
)
async def test_a_limit_without_a_usable_time_blocks_nobody(fetcher: Fetcher, upstream: Upstream, value: str) -> None:
    """Without the upstream's pause, our own is used."""
    upstream.answers = [reply(LIMITED, b"{}", f"RateLimit: {value}"), OK]
    with pytest.raises(ProviderError) as caught:
        await ask(fetcher, upstream, Request("/1", bytes))
    assert caught.value.retry_after is None
    assert await ask(fetcher, upstream, Request("/1", bytes)) == b'{"a":1}'


async def test_what_is_left_of_a_limit_is_no_reason_to_wait(fetcher: Fetcher, upstream: Upstream) -> None:
    """The field is on every answer of some upstreams; only a refusal is obeyed."""
    upstream.answers = [reply("200 OK", b"[1]", 'RateLimit: "api";r=0;t=55')]
    assert await ask(fetcher, upstream, Request("/1", bytes)) == b"[1]"
    assert await ask(fetcher, upstream, Request("/1", bytes)) == b"[1]"
