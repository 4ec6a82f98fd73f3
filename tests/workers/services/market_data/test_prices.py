"""PriceBook: market_data's prices first, then sources of its own, and none that is old."""

from __future__ import annotations

import pytest

from shared.payloads import MarketData
from shared.timestamps import iso
from tests.workers.stage import Stage
from workers.services.market_data.prices import PriceBook

LLAMA, GECKO = "coins.llama.fi", "api.coingecko.com"


def market(**prices: float | None) -> MarketData:
    """An update of market_data with these prices."""
    nothing: dict[str, float | None] = dict.fromkeys(prices)
    return MarketData(
        prices=prices, volumes=nothing, market_caps=nothing, price_changes=nothing, source="", timestamp=iso(0)
    )


@pytest.fixture
def book(stage: Stage) -> PriceBook:
    """A new one for each test."""
    return PriceBook(stage.context(), "whale_tracking")


async def test_prices_of_market_data_cost_nothing(stage: Stage, book: PriceBook) -> None:
    """Prices that market_data published are used without a call."""
    stage.latest["market_data"] = market(ethereum=4000.0, bitcoin=90_000.0)
    assert await book.usd(("ethereum", "bitcoin"), 4.0) == {"ethereum": 4000.0, "bitcoin": 90_000.0}
    assert not stage.asked


async def test_coins_that_market_data_lacks_are_asked_for(stage: Stage, book: PriceBook) -> None:
    """A coin outside COINS, or null there, is asked for once a minute; one that nobody knows is left out."""
    stage.latest["market_data"] = market(ethereum=4000.0, bitcoin=None)
    true = stage.simulator.market.price(stage.simulator.market.by_id["bitcoin"], stage.now)
    for later in (0, 30, 29, 2):
        stage.now += later
        prices = await book.usd(("ethereum", "bitcoin", "no-such-coin"), 4.0)
        assert prices["ethereum"] == 4000.0
        assert prices["bitcoin"] == pytest.approx(true, rel=0.01)
        assert set(prices) == {"ethereum", "bitcoin"}
    assert stage.asked == {"defillama_coins": 2}


async def test_another_source_stands_in(stage: Stage, book: PriceBook) -> None:
    """With DefiLlama down, CoinGecko has the same ids; with both down, a price counts for 15 minutes."""
    stage.spoil(LLAMA)
    first = await book.usd(("bitcoin",), 4.0)
    assert stage.asked == {"defillama_coins": 1, "coingecko": 1}
    stage.spoil(GECKO)
    stage.now += 890
    assert await book.usd(("bitcoin",), 4.0) == first
    stage.now += 20
    assert await book.usd(("bitcoin",), 4.0) == {}


def _coin(stage: Stage) -> object:
    return stage.simulator.market.by_id["bitcoin"]


async def test_a_price_whose_own_time_is_long_ago_is_not_used(stage: Stage, book: PriceBook) -> None:
    """DefiLlama has prices of some hours ago: over an hour, another source is asked, and nothing is better than old."""
    stage.leave_behind(3500.0)
    assert set(await book.usd(("bitcoin",), 4.0)) == {"bitcoin"}
    assert stage.asked == {"defillama_coins": 1}
    stage.leave_behind(1000.0)
    stage.spoil(GECKO)
    assert await book.usd(("bitcoin",), 4.0) == {}
    stage.heal(GECKO)
    await stage.wait(60.0)
    assert set(await book.usd(("bitcoin",), 4.0)) == {"bitcoin"}
    assert stage.asked["coingecko"] == 2
