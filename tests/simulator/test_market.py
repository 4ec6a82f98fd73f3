"""The simulated market is a pure function of seed and time, and looks like a market."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.world.coins import load_coins
from simulator.world.market import DAY, Market

NOW = 1_795_390_930.0
COINS = load_coins()
MARKET = Market(COINS, seed=7)


def test_coins_are_many_and_their_names_unique() -> None:
    """There are at least 120 coins, and no provider has one name for two of them."""
    assert len(COINS) >= 120
    for name in ("id", "symbol", "paprika_id", "coinlore_id", "coinlore_slug"):
        assert len({getattr(coin, name) for coin in COINS}) == len(COINS), name


def test_every_coin_that_is_tracked_exists() -> None:
    """A wrapped coin names a coin of the market."""
    assert {coin.tracks for coin in COINS if coin.tracks} <= MARKET.by_id.keys()


def test_same_seed_and_time_give_the_same_market() -> None:
    """Two processes with one seed show the same prices, whatever they were asked before."""
    other = Market(COINS, seed=7)
    other.range(other.coins[0], NOW - 5 * DAY)
    assert [other.price(coin, NOW) for coin in COINS] == [MARKET.price(coin, NOW) for coin in COINS]
    assert other.range(COINS[0], NOW) == MARKET.range(COINS[0], NOW)


def test_another_seed_gives_another_market() -> None:
    """The seed decides every price."""
    other = Market(COINS, seed=8)
    assert all(other.price(coin, NOW) != MARKET.price(coin, NOW) for coin in COINS)


@given(time=st.floats(0, 4e9), index=st.integers(0, len(COINS) - 1))
def test_prices_stay_near_their_base(time: float, index: int) -> None:
    """At no time is an ordinary coin further from its base price than a quarter, nor a stablecoin than 0.3 %."""
    coin = COINS[index]
    bound = 0.25 * max(coin.volatility, 1) if coin.volatility > 0.01 else 0.003
    assert abs(MARKET.price(coin, time) / coin.price - 1) < bound


def test_prices_move_visibly_every_five_seconds() -> None:
    """From one 5 s poll to the next bitcoin moves by 0.02 % to 0.5 % more often than not, and never by more."""
    bitcoin = MARKET.by_id["bitcoin"]
    moves = [abs(MARKET.change(bitcoin, NOW + 5 * step, 5.0)) for step in range(200)]
    assert sorted(moves)[100] > 0.02
    assert max(moves) < 0.5


def test_change_is_that_from_the_price_a_day_ago() -> None:
    """The 24 h change agrees with the price that the market showed 24 h ago."""
    for coin in COINS:
        before = MARKET.price(coin, NOW - DAY)
        assert MARKET.change(coin, NOW) == pytest.approx((MARKET.price(coin, NOW) - before) / before * 100)


def test_price_is_within_the_range_of_the_day() -> None:
    """High and low enclose the opening, the average and the current price at every venue."""
    for coin in COINS:
        for venue in ("", "binance", "kraken"):
            day = MARKET.range(coin, NOW, venue)
            assert day.low <= min(day.open, day.average, MARKET.price(coin, NOW, venue))
            assert day.high >= max(day.open, day.average, MARKET.price(coin, NOW, venue))


def test_wrapped_coins_move_with_what_they_wrap() -> None:
    """Wrapped bitcoin keeps its ratio to bitcoin."""
    wrapped, bitcoin = MARKET.by_id["wrapped-bitcoin"], MARKET.by_id["bitcoin"]
    ratios = [MARKET.price(wrapped, NOW + hour * 3600) / MARKET.price(bitcoin, NOW + hour * 3600) for hour in range(9)]
    assert max(ratios) == pytest.approx(min(ratios))


def test_stablecoins_cost_a_dollar() -> None:
    """Tether and USDC stay within a third of a percent of one dollar."""
    for name in ("tether", "usd-coin"):
        assert MARKET.price(MARKET.by_id[name], NOW) == pytest.approx(1, abs=0.0034)


def test_ranking_follows_market_value() -> None:
    """Coins are ranked by price times supply; bitcoin leads."""
    caps = [MARKET.market_cap(coin, NOW) for coin in MARKET.ranked(NOW)]
    assert caps == sorted(caps, reverse=True)
    assert MARKET.ranked(NOW)[0].id == "bitcoin"
