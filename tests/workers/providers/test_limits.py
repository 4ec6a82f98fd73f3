"""Limits in every dialect: a refusal because we asked too often is never taken for an upstream that is down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.bus.reports import CallReport
from shared.errors import ProviderError
from tests.workers.stage import Stage, hosts_of
from workers.asking.jsonrpc import is_limited
from workers.asking.limits import LimitError
from workers.asking.provider import StatusError
from workers.providers import PROVIDERS, load_provider, provider_class
from workers.providers.rss import Feed
from workers.services.health_checker.service import status_of

HOUR = 3600.0
MINUTE = 60.0


def parsers_of(name: str) -> dict[str, Any]:
    kind = provider_class(name)
    return dict(load_provider(name, "id:secret" if kind.needs_key else None).parsers)


def refused(name: str, parser: str, body: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        parsers_of(name)[parser](body if isinstance(body, bytes) else json.dumps(body).encode())
    return caught.value


def is_feed(name: str) -> bool:
    return issubclass(provider_class(name), Feed)


OF_DATA = [(name, parser) for name in PROVIDERS if not is_feed(name) for parser in parsers_of(name)]

ANYWHERE: tuple[Any, ...] = (
    b"Too Many Requests",
    b"error code: 1015",
    b"<html><head><title>429 Too Many Requests</title></head></html>",
    {"error": "too many requests"},
    {"error": {"code": 429, "message": "Too many requests"}},
    {"message": "Too Many Requests. Please increase your API rate limit.", "status": 429},
    {"status": {"error_code": 429, "error_message": "You've exceeded the Rate Limit. Please visit the pricing page."}},
    {"success": False, "detail": "Request was throttled. Expected available in 30 seconds."},
)
"""Notices of gateways, CDNs and frameworks, which any upstream may have before it."""


@pytest.mark.parametrize(("name", "parser"), OF_DATA)
@pytest.mark.parametrize("body", ANYWHERE, ids=lambda body: str(body)[:40])
def test_a_notice_of_a_limit_in_a_200_is_a_limit(name: str, parser: str, body: Any) -> None:
    """Whatever was asked of whichever provider, a notice with HTTP 200 is limited, not unreadable."""
    assert is_limited(refused(name, parser, body))


OWN: tuple[tuple[str, str, Any, float | None], ...] = (
    ("kraken", "ticker", {"error": ["EGeneral:Too many requests"]}, None),
    ("kraken", "ticker", {"error": ["EAPI:Rate limit exceeded"], "result": {}}, None),
    ("kraken", "ticker", {"error": ["EGeneral:Temporary lockout"]}, None),
    ("kraken", "status", {"error": ["EAPI:Rate limit exceeded"]}, None),
    ("kraken", "status", {"error": ["EService:Throttled: 1795800000"]}, None),
    *(
        ("etherscan", parser, {"status": "0", "message": "NOTOK", "result": text}, pause)
        for parser in ("height", "wei")
        for text, pause in (
            ("Max rate limit reached", None),
            ("Max rate limit reached, please use API Key for higher rate limit", None),
            ("Max calls per sec rate limit reached (3/sec)", 1.0),
            ("Max daily rate limit reached. 100000 (100%) of 100000 day/limit", HOUR),
        )
    ),
    ("etherscan", "height", {"jsonrpc": "2.0", "id": 1, "result": "Max calls per sec rate limit reached (2/sec)"}, 1.0),
    *(
        ("coinmarketcap", parser, {"status": {"error_code": code, "error_message": text}}, pause)
        for parser in ("listings", "fear_and_greed")
        for code, text, pause in (
            (1008, "You've exceeded your API Key's HTTP request rate limit.", MINUTE),
            ("1009", "You've exceeded your API Key's daily rate limit.", HOUR),
            (1010, "monthly credit limit exceeded", HOUR),
            (1011, None, MINUTE),
        )
    ),
    *(
        ("blockchair", parser, {"data": None, "context": {"code": code, "error": text}}, pause)
        for parser in ("bitcoin", "ethereum")
        for code, text, pause in (
            (402, "Daily limit exceeded", HOUR),
            (429, "Too many requests", None),
            (430, "blocked", None),
            (434, None, None),
            (435, "Limit of 5 requests per second exceeded", 1.0),
            (503, "blocked", None),
        )
    ),
    ("blockchair", "bitcoin", b"Don't abuse the API. Please contact support.", None),
    ("alternative_me", "fng", {"data": [], "metadata": {"error": "Rate limit exceeded, retry after 12 s"}}, 12.0),
    ("coingecko", "simple_price", {"status": {"error_code": 429, "error_message": "exceeded the Rate Limit"}}, None),
    ("binance", "day", {"code": -1003, "msg": "Too much request weight used; IP banned until 1795800000000."}, None),
    ("coinbase", "products", {"message": "Public rate limit exceeded"}, None),
    ("coinmetrics", "days", {"error": {"type": "too_many_requests", "message": "Rate limit exceeded"}}, None),
    ("whale_alert", "transactions", {"result": "error", "message": "usage limit reached"}, None),
    ("whale_alert", "status", {"result": "error", "message": "usage limit reached"}, None),
    ("reddit", "token", {"message": "Too Many Requests", "error": 429}, None),
    ("reddit", "listing", {"message": "Too Many Requests", "error": 429}, None),
    ("cryptopanic", "posts", {"status": "api_error", "info": "API monthly quota exceeded"}, HOUR),
    ("huggingface", "models", {"error": "We had to rate limit your IP. Retry after 55 seconds."}, 55.0),
    ("huggingface_inference", "classes", {"error": "You have exceeded your monthly included credits."}, HOUR),
    (
        "blockchain_com",
        "stats",
        b"Maximum concurrent requests for this endpoint reached. Please try again shortly.",
        None,
    ),
    *(
        (name, parser, {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": text}}, pause)
        for name, parser in (("ethereum_rpc", "quantity"), ("ethereum_rpc", "block"), ("solana_rpc", "health"))
        for code, text, pause in (
            (429, "", None),
            (-32429, "", None),
            (-32000, "Too many requests, reason: call rate limit exhausted, retry in 10m0s", 600.0),
            (-32000, "Your app has exceeded its compute units per second capacity.", 1.0),
            (-32007, "15/second request limit reached - reduce calls per second", 1.0),
            (-32001, "Monthly capacity limit exceeded.", HOUR),
            (15, "Too many request, try again later", None),
            (-32000, "exceeded the quota usage", None),
        )
    ),
    *(
        ("ethereum_rpc", "quantity", {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": text}}, None)
        for code, text in (
            (-32005, "limit exceeded"),
            (-32005, "project ID request rate exceeded"),
            (-32012, "backend is over capacity"),
            (-32016, "over rate limit"),
            (-32029, "Rate limit exceeded"),
            (-32046, "Cannot fulfill request"),
            (-32097, ""),
        )
    ),
    (
        "ethereum_rpc",
        "quantity",
        {"id": 1, "error": {"code": -32005, "message": "limited", "data": {"rate": {"backoff_seconds": 30}}}},
        30.0,
    ),
)
"""What each provider says in its own words, and the pause that these imply."""


@pytest.mark.parametrize(("name", "parser", "body", "pause"), OWN, ids=lambda value: str(value)[:60])
def test_a_provider_s_own_words_for_a_limit_are_known(name: str, parser: str, body: Any, pause: float | None) -> None:
    """They are limited, with the pause they imply; so the provider's health is degraded, however often it happens."""
    error = refused(name, parser, body)
    assert is_limited(error)
    assert error.retry_after == pause
    report = CallReport(at=1.0, milliseconds=1.0, error=str(error), limited=is_limited(error), failures=5)
    assert status_of(report) == "degraded"


@pytest.mark.parametrize(
    ("name", "body", "until"),
    [
        ("kraken", {"error": ["EService:Throttled: 1795800000"]}, 1795800000.0),
        ("binance", {"code": -1003, "msg": "Way too many requests; IP banned until 1795800000123."}, 1795800000.123),
    ],
)
def test_a_limit_may_end_at_a_moment(name: str, body: Any, until: float) -> None:
    """Unix seconds of Kraken, milliseconds of Binance."""
    error = refused(name, next(iter(parsers_of(name))), body)
    assert isinstance(error, LimitError)
    assert (error.until, error.retry_after) == (until, None)


NO_LIMITS: tuple[tuple[str, str, Any], ...] = (
    ("kraken", "ticker", {"error": ["EService:Unavailable"]}),
    ("kraken", "ticker", {"error": ["EQuery:Unknown asset pair"]}),
    ("etherscan", "height", {"status": "0", "message": "NOTOK", "result": "Invalid API Key"}),
    ("etherscan", "height", {"status": "0", "message": "NOTOK", "result": "Free API access is not supported"}),
    ("coinmarketcap", "listings", {"status": {"error_code": 1001, "error_message": "This API Key is invalid."}}),
    ("coinmarketcap", "listings", {"status": {"error_code": 1006, "error_message": "Your plan has no such endpoint."}}),
    ("blockchair", "bitcoin", {"data": None, "context": {"code": 500, "error": "internal"}}),
    ("binance", "day", {"code": -1121, "msg": "Invalid symbol."}),
    ("alternative_me", "fng", {"data": [], "metadata": {"error": "internal error"}}),
    ("huggingface", "models", {"error": "Repository not found"}),
    *(
        ("ethereum_rpc", "quantity", {"id": 1, "error": {"code": code, "message": text}})
        for code, text in (
            (-32005, "query returned more than 10000 results"),
            (-32000, "eth_getLogs is limited to a 1000 blocks range"),
            (-32000, "block range limit exceeded"),
            (-32000, "exceeds block gas limit"),
            (-32011, "no backend is currently healthy to serve traffic"),
            (-32000, "missing trie node"),
        )
    ),
    *(
        ("solana_rpc", parser, {"id": 1, "error": {"code": code, "message": text, "data": {"numSlotsBehind": 3104}}})
        for parser in ("health", "height", "genesis")
        for code, text in (
            (-32005, "Node is behind by 3104 slots"),
            (-32005, "Node is unhealthy"),
            (-32016, "Minimum context slot has not been reached"),
        )
    ),
)


@pytest.mark.parametrize(("name", "parser", "body"), NO_LIMITS, ids=lambda value: str(value)[:60])
def test_other_errors_are_no_limits(name: str, parser: str, body: Any) -> None:
    """A node that is behind, a wrong key, a question too large: the provider is unhealthy after three failures."""
    error = refused(name, parser, body)
    assert not is_limited(error)
    report = CallReport(at=1.0, milliseconds=1.0, error=str(error), limited=is_limited(error), failures=5)
    assert status_of(report) == "unhealthy"


def test_no_error_holds_a_key() -> None:
    """Notices are shortened, and what might be a key or an address is taken out."""
    error = refused(
        "coinlore", "tickers", {"error": "rate limit of key a1b2c3d4e5f6a7b8c9d0e1f2 at https://x.example/k"}
    )
    assert is_limited(error)
    assert "a1b2c3d4" not in str(error)
    assert "x.example" not in str(error)


@pytest.mark.parametrize("status", [402, 403, 418, 429, 430, 434, 435, 436, 437])
def test_statuses_of_a_limit(status: int) -> None:
    """They mean a limit where a provider's own file does not say otherwise."""
    assert is_limited(StatusError("blockchair", status))
    assert provider_class("blockchair").limits.statuses >= {status}


@pytest.mark.parametrize(("name", "status"), [("coinmarketcap", 402), ("coinmarketcap", 403), ("coinpaprika", 402)])
def test_a_plan_that_is_too_small_is_no_limit(name: str, status: int) -> None:
    """Waiting does not help against it, so the provider is unhealthy."""
    assert status not in provider_class(name).limits.statuses


@pytest.mark.parametrize("name", PROVIDERS)
async def test_the_simulated_limits_of_every_provider_are_known(stage: Stage, name: str) -> None:
    """Whatever a host says of a limit with HTTP 200 reaches health and metrics as a limit, feeds and nodes included."""
    kind = provider_class(name)
    provider: Any = load_provider(name, "id:secret" if kind.needs_key else None)
    stage.spoil(*hosts_of(provider), fault="429_in_200")
    with pytest.raises(ProviderError) as caught:
        await provider.probe(stage.asker(provider, 5.0))
    assert is_limited(caught.value)
