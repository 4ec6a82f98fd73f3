"""How long a refusal asks to wait, by Retry-After, by other headers and by words. HTTP dates are read to the end."""

from __future__ import annotations

import pytest

from shared.errors import ProviderError
from tests.workers.upstream import OK, Upstream, reply
from workers.asking.fetch import Fetcher
from workers.asking.http_date import http_date
from workers.asking.limits import LimitError, Limits, limit_in, pause_in, pause_of, says_limited
from workers.asking.provider import Request

NOW = 1_795_800_000.0
SENT = "Fri, 27 Nov 2026 16:00:00 GMT"
AT = 1_795_795_200.0
"""SENT in unix seconds."""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Fri, 27 Nov 2026 16:00:00 GMT", AT),
        ("Friday, 27-Nov-26 16:00:00 GMT", AT),
        ("Fri Nov 27 16:00:00 2026", AT),
        ("Thu Nov  5 16:00:00 2026", AT - 22 * 86400),
        ("Fri, 27 Nov 2026 16:00:60 GMT", AT + 59),
        *((wrong, None) for wrong in ("", "soon", "0", "27 Nov 2026 16:00:00 GMT", "Fri, 27 Nov 2026 16:00:00")),
        *((wrong, None) for wrong in ("Fri, 27 Nov 2026 16:00:00 EST", "Fri, 27 Nov 2026 16:00:00 GMT or later")),
        *((wrong, None) for wrong in ("Fri, 27 Nov 26 16:00:00 GMT", "Fri, 7 Nov 2026 16:00:00 GMT", "2026-11-27")),
        *((wrong, None) for wrong in ("Fri, 31 Feb 2026 16:00:00 GMT", "Fri, 27 Nov 2026 25:00:00 GMT")),
        *((wrong, None) for wrong in ("Fri, 27 Nov 2026 16:00:61 GMT", "Fri, 27 Nov 2026 16:00 GMT", "1795795200")),
    ],
)
def test_an_http_date_is_read_to_its_end(text: str, seconds: float | None) -> None:
    """The three forms of RFC 9110 give a moment; anything else gives none, not a part of one."""
    assert http_date(text) == seconds


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"retry-after": "120"}, 120),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "3600"}, 3600),
        ({"retry-after": "60000"}, 60),
        ({"retry-after": "5000"}, 60),
        ({"retry-after": "600000"}, 600),
        ({"retry-after": "999999999"}, 3600),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": SENT, "date": "Fri, 27 Nov 2026 15:58:30 GMT"}, 90),
        ({"retry-after": "1795800042"}, 42),
        ({"retry-after": "1795800042000"}, 42),
        ({"retry-after": "1795799958"}, None),
        ({"retry-after": "Fri, 27 Nov 2026 17:21:30 GMT"}, 90),
        ({"ratelimit-reset": "42"}, 42),
        ({"x-ratelimit-reset": "42", "x-ratelimit-remaining": "0.0"}, 42),
        ({"x-ratelimit-reset": "1795800042"}, 42),
        ({"x-ratelimit-reset": "1795800042000"}, 42),
        ({"x-rate-limit-reset": "1795795242", "date": SENT}, 42),
        ({"x-ratelimit-reset": "42", "retry-after": "7"}, 7),
        *(
            ({"retry-after": unusable}, None)
            for unusable in ("0", "-5", "nan", "inf", "1e3", "soon", "", "0x10", "1 s")
        ),
        ({"retry-after": SENT}, None),
        ({"retry-after": SENT, "date": SENT}, None),
        ({"x-ratelimit-reset": "42", "x-ratelimit-remaining": "7"}, None),
        ({"x-ratelimit-reset": "-1"}, None),
        ({"x-ratelimit-reset": "1795700000"}, None),
        ({}, None),
    ],
)
def test_the_pause_of_a_429(headers: dict[str, str], pause: float | None) -> None:
    """Seconds, dates and resets are obeyed up to an hour; a larger number is read as milliseconds, not as an hour."""
    assert pause_of(headers, 429, Limits(), NOW) == pause


@pytest.mark.parametrize(
    ("header", "value", "pause"),
    [("x-ratelimit-reset", "400", 0.4), ("x-ratelimit-reset", "30000", 30), ("retry-after", "30", 30)],
)
def test_an_upstream_that_is_known_to_count_milliseconds(header: str, value: str, pause: float) -> None:
    """Its own file says so of the reset; Retry-After, which a CDN before it may send, is in seconds."""
    assert pause_of({header: value}, 429, Limits(reset_in_ms=True), NOW) == pause


@pytest.mark.parametrize(("value", "pause"), [("172800", 172800), ("9999999", 3 * 86400)])
def test_a_ban_may_last_days(value: str, pause: float) -> None:
    """Binance's 418 says seconds, up to three days, so its numbers are never read as milliseconds."""
    assert pause_of({"retry-after": value}, 418, Limits(), NOW) == pause


def test_only_a_limit_is_paused_until_a_reset() -> None:
    """A 500 may have the headers of a limit too; they say nothing about the failure. Retry-After does."""
    assert pause_of({"x-ratelimit-reset": "42"}, 500, Limits(), NOW) is None
    assert pause_of({"retry-after": "42"}, 503, Limits(), NOW) == 42


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("Try again in 30 seconds", 30),
        ("retry after 250ms", 0.25),
        ("please wait 2 minutes", 120),
        ("retry in 10m0s", 600),
        ("retry in 1h0m0s", 3600),
        ("wait 48 hours", 3600),
        ("3 requests per second", 1),
        ("your limit per minute", 60),
        ("the daily limit", 3600),
        ("Too many requests", None),
        ("Throttled: 1795800000", None),
    ],
)
def test_words_say_how_long(text: str, pause: float | None) -> None:
    """A number with a unit, else the window that is named, at most an hour."""
    assert pause_in(text) == pause


@pytest.mark.parametrize(
    "body",
    [
        b'[{"title": "SEC sets a rate limit"}]',
        b'{"data": "' + b"x" * 5000 + b'", "note": "rate limit exceeded"}',
        b'{"error": "internal"}',
        b"",
        b"{",
        b"<html>maintenance</html>",
        b"[" * 4000,
        b'{"a":' * 4000,
    ],
)
def test_data_is_no_notice(body: bytes) -> None:
    """Lists, long answers, other errors and broken bodies are not taken for a limit."""
    assert limit_in("acme", body) is None


async def refusal(fetcher: Fetcher, upstream: Upstream) -> ProviderError:
    """The error of one request."""
    with pytest.raises(ProviderError) as caught:
        await fetcher.asker(upstream, 5.0)(Request("/1", refuse))
    return caught.value


def refuse(body: bytes) -> bytes:
    """A parser to which no body is an answer."""
    raise ProviderError("acme", "another shape")


@pytest.mark.parametrize(
    ("answer", "limited", "pause"),
    [
        (reply("200 OK", b"Too many requests, retry after 40 seconds"), True, 40),
        (reply("200 OK", b'{"error":"rate limit exceeded","retry_after":40}'), True, 40),
        (reply("200 OK", b"<html>Error 1015: you are being rate limited</html>"), True, None),
        (reply("500 No", b'{"error":{"message":"Too many requests, retry after 40 s"}}'), True, 40),
        (reply("503 No", b"<html>Service Unavailable</html>", "Retry-After: 40"), False, 40),
        (reply("400 No", b"too many requests"), False, None),
        (reply("402 Payment Required", b"{}"), True, None),
        (reply("430 No", b"blocked for a while", "Retry-After: 40"), True, 40),
        (reply("200 OK", b'{"error":"internal"}'), False, None),
    ],
)
async def test_limits_are_known_whatever_they_come_with(
    fetcher: Fetcher, upstream: Upstream, answer: bytes, limited: bool, pause: float | None
) -> None:
    """A limit in any status is limited; its pause is kept by the whole cluster, that of a failure by one pool."""
    upstream.answers = [answer, OK]
    error = await refusal(fetcher, upstream)
    assert (error.limited, error.retry_after) == (limited, pause)
    await refusal(fetcher, upstream)
    assert len(upstream.heads) == (1 if limited and pause else 2)


async def test_a_limit_until_a_moment_is_kept_until_then(fetcher: Fetcher, upstream: Upstream) -> None:
    """A moment becomes a pause by our clock; one in the past gives none."""

    def throttled(body: bytes) -> bytes:
        raise LimitError("acme", "throttled", until=fetcher._clock() + 50)

    with pytest.raises(ProviderError) as caught:
        await fetcher.asker(upstream, 5.0)(Request("/1", throttled))
    assert caught.value.retry_after == pytest.approx(50, abs=2)
    await refusal(fetcher, upstream)
    assert len(upstream.heads) == 1


@pytest.mark.parametrize(
    "text",
    [
        *(
            "You've exceeded the RPS limit available on the current plan",
            "daily request count exceeded, request rate limited",
        ),
        *(
            "15/second request limit reached",
            "You've reached the free tier limit",
            "Your IP is blocked",
            "limit exceeded",
        ),
        *("You are out of credits", "Maximum number of requests exceeded", "API rate exceeded", "usage exceeded"),
        *("Requests are too frequent", "API call frequency exceeded", "Max usage reached", "limit_exceeded"),
        *("excessive requests", "Too many visits", "Limit of requests exceeded", "requests exceeded", "HTTP 429"),
        *("You have used all available requests", "You have exceeded your monthly allotment", "Hourly limit"),
        *("Please slow down", "Quota Exceeded", "RATE_LIMIT_EXCEEDED", "Too Many Requests", "429 TooManyRequests"),
        *(
            "Access denied | api.example.com used Cloudflare to restrict access",
            "Your IP 10.1.2.3 was temporarily banned",
        ),
    ],
)
def test_words_for_a_limit(text: str) -> None:
    """As nodes, gateways and APIs have them, in whatever case."""
    assert says_limited(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "This request is limited to PRO API subscribers",
            "query returned more than 10000 results",
            "Request timed out",
        ),
        *(
            "block range limit exceeded",
            "exceeds block gas limit",
            "exceeded max results",
            "response size limit exceeded",
        ),
        *(
            "Node is behind by 5 slots",
            "execution reverted",
            "max fee per gas less than block base fee",
            "internal error",
        ),
        *("Invalid API key", "not found", "query timeout exceeded", "batch limit exceeded", "nonce too low", ""),
    ],
)
def test_words_for_other_faults(text: str) -> None:
    """One question that was too large, another plan, a wrong key, a fault of the server: waiting does not help."""
    assert not says_limited(text)
