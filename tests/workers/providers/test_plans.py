"""Plans of keys: which host and header each has, and that no month is spent before it ends."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from shared.errors import ProviderError
from shared.settings import Settings
from workers.asking.keys import key_of
from workers.asking.provider import Provider, Request
from workers.providers import load_provider, provider_class
from workers.providers.cryptopanic import parse_posts

MONTH = 31
"""Days of the longest month."""


def provider_of(name: str, **settings: str) -> Provider:
    """The provider as a worker makes it from its settings."""
    values: Any = {"_env_file": None, **settings}
    return load_provider(name, key_of(provider_class(name), Settings(**values)))


@pytest.mark.parametrize(
    ("name", "settings", "url", "headers"),
    [
        ("coingecko", {}, "https://api.coingecko.com/api/v3", {}),
        ("coingecko", {"coingecko_plan": "pro"}, "https://api.coingecko.com/api/v3", {}),
        (
            "coingecko",
            {"coingecko_demo_key": "CG-k"},
            "https://api.coingecko.com/api/v3",
            {"x-cg-demo-api-key": "CG-k"},
        ),
        (
            "coingecko",
            {"coingecko_demo_key": "CG-k", "coingecko_plan": "pro"},
            "https://pro-api.coingecko.com/api/v3",
            {"x-cg-pro-api-key": "CG-k"},
        ),
        ("blockscout", {}, "https://eth.blockscout.com/api/v2", {}),
        (
            "blockscout",
            {"blockscout_key": "proapi_k"},
            "https://api.blockscout.com/1/api/v2",
            {"Authorization": "Bearer proapi_k"},
        ),
        ("cryptopanic", {"cryptopanic_key": "k"}, "https://cryptopanic.com/api/growth/v2", {}),
        (
            "cryptopanic",
            {"cryptopanic_key": "k", "cryptopanic_plan": "enterprise"},
            "https://cryptopanic.com/api/enterprise/v2",
            {},
        ),
    ],
)
def test_a_plan_has_its_host_and_header(name: str, settings: dict[str, str], url: str, headers: dict[str, str]) -> None:
    """A key of one plan is refused by the host of another."""
    provider = provider_of(name, **settings)
    assert provider.base_url == url
    assert dict(provider.headers()) == headers
    hosts = {urlsplit(known).hostname for known in (provider.base_url, *provider.other_urls)}
    assert urlsplit(url).hostname in hosts


@pytest.mark.parametrize(
    ("name", "settings", "a_month"),
    [
        ("coingecko", {"coingecko_demo_key": "k"}, 10_000),
        ("coingecko", {"coingecko_demo_key": "k", "coingecko_plan": "pro"}, 100_000),
        ("cryptopanic", {"cryptopanic_key": "k"}, 3_000),
        ("coinpaprika", {}, 20_000),
    ],
)
def test_a_month_is_spread_over_its_days(name: str, settings: dict[str, str], a_month: int) -> None:
    """The budget is of a day or less, and 31 of these days do not exceed the month; Redis keeps it over restarts."""
    budget = provider_of(name, **settings).budget
    assert budget.seconds <= 86_400
    assert budget.units * MONTH * 86_400 / budget.seconds <= a_month


def test_what_is_planned_with_a_demo_key_fits_its_day() -> None:
    """The list, trending searches and the votes of two coins together."""
    provider: Any = provider_of("coingecko", coingecko_demo_key="k")
    lists, trending, votes = (86_400 / (pace * provider.refresh) for pace in (1, 2, 3))
    assert lists + trending + 2 * votes <= provider.budget.units
    assert provider.probe_plan is None


async def test_cryptopanic_gets_the_token_without_the_plan() -> None:
    """Which is in the path."""
    asked: list[Request[Any]] = []

    async def ask(request: Request[Any]) -> Any:
        asked.append(request)
        return ()

    await provider_of("cryptopanic", cryptopanic_key="k", cryptopanic_plan="enterprise").probe(ask)
    assert "k" in asked[0].params.values()


def test_a_plan_of_cryptopanic_without_links_is_named() -> None:
    """Other than a page whose posts merely have no usable link."""
    post = {"title": "Bitcoin rises", "published_at": "2026-03-01T10:00:00Z", "kind": "news"}
    for more, says in (({}, True), ({"url": "javascript:1"}, False)):
        with pytest.raises(ProviderError, match="no post with title and link") as caught:
            parse_posts(json.dumps({"results": [post | more]}).encode())
        assert ("CRYPTOPANIC_PLAN" in caught.value.reason) is says
