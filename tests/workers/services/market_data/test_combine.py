"""combine: whose figure wins, and how old it may be. One rule of docs/adr/0004 a test."""

from __future__ import annotations

from typing import Any

import pytest

from shared.payloads import MarketData
from workers.answers import ListedCoin, Ticker
from workers.services.market_data.coins import Coin
from workers.services.market_data.combine import Listing, Quotes, combine

NOW = 1_700_000_000.0
BTC = Coin(id="bitcoin", symbol="BTC", name="Bitcoin")
USDT = Coin(id="tether", symbol="USDT", name="Tether")
LEO = Coin(id="leo-token", symbol="LEO", name="LEO Token")


def listed(coin: Coin, **figures: Any) -> ListedCoin:
    """A row with every figure; price 100, supply 10, so cap 1000."""
    row = {"price": 100.0, "volume": 50.0, "market_cap": 990.0, "supply": 10.0, "change": 25.0, "as_of": None}
    return ListedCoin(coin_id=coin.id, symbol=coin.symbol, name=coin.name, **(row | figures))


def listing(*rows: ListedCoin, source: str = "coingecko", age: float = 0.0) -> Listing:
    return Listing(source=source, coins={row.coin_id: row for row in rows if row.coin_id}, received=NOW - age)


def quotes(source: str = "kraken", *, age: float = 0.0, quote: str = "USD", **prices: float) -> Quotes:
    """Prices by base symbol; the exchange's own change is +3 %."""
    tickers = tuple(
        Ticker(base=base, quote=quote, price=price, change=3.0, as_of=None) for base, price in prices.items()
    )
    return Quotes(source=source, tickers=tickers, received=NOW - age)


def binance(age: float = 0.0, **prices: float) -> Quotes:
    return quotes("binance", age=age, quote="USDT", **prices)


def of(coins: list[Coin], listings: list[Listing], answers: list[Quotes]) -> MarketData:
    data = combine(NOW, coins, listings, answers)
    assert data is not None
    keys = [coin.id for coin in coins]
    for figures in (data.prices, data.volumes, data.market_caps, data.price_changes):
        assert list(figures) == keys
    return data


def bitcoin(listings: list[Listing], answers: list[Quotes]) -> tuple[float | None, float | None, float | None]:
    """Price, cap and change of Bitcoin."""
    data = of([BTC], listings, answers)
    return data.prices["bitcoin"], data.market_caps["bitcoin"], data.price_changes["bitcoin"]


def test_a_listing_alone_is_published() -> None:
    """Without an exchange every figure is the list's, the cap its supply times its price."""
    data = of([BTC], [listing(listed(BTC))], [])
    assert (data.prices, data.volumes) == ({"bitcoin": 100.0}, {"bitcoin": 50.0})
    assert (data.market_caps, data.price_changes) == ({"bitcoin": 1000.0}, {"bitcoin": 25.0})
    assert data.source == "coingecko"
    assert data.timestamp == "2023-11-14T22:13:20.000Z"


def test_an_exchanges_price_wins() -> None:
    """A fresh price in dollars is the price; cap and change follow it (100 was 25 % above 80, so 110 is 37.5 %)."""
    assert bitcoin([listing(listed(BTC))], [quotes(BTC=110.0)]) == (110.0, 1100.0, 37.5)


@pytest.mark.parametrize(("price", "wins"), [(119.9, True), (80.1, True), (120.1, False), (79.9, False)])
def test_an_exchange_must_agree_with_a_fresh_list(price: float, wins: bool) -> None:
    """Beyond 20 % the symbol is probably another coin's: the list's price wins, for its id is certain."""
    data = of([BTC], [listing(listed(BTC))], [quotes(BTC=price)])
    assert data.prices["bitcoin"] == (price if wins else 100.0)
    assert data.source == ("coingecko, kraken" if wins else "coingecko")


@pytest.mark.parametrize(("price", "wins"), [(199.0, True), (51.0, True), (201.0, False), (49.0, False)])
def test_an_old_list_still_guards(price: float, wins: bool) -> None:
    """Between 15 min and a day old, a list's price is no figure any more, but what is not half to double is not it."""
    data = combine(NOW, [BTC], [listing(listed(BTC), age=3600)], [quotes(BTC=price)])
    assert (data is not None and data.prices["bitcoin"] == price) is wins


def test_a_list_of_yesterday_guards_nothing() -> None:
    """After a day only symbols are left to tell coins apart."""
    assert bitcoin([listing(listed(BTC), age=90_000)], [quotes(BTC=500.0)]) == (500.0, None, 3.0)


@pytest.mark.parametrize(("age", "price"), [(30.0, 110.0), (30.1, 100.0)])
def test_an_exchanges_answer_lasts_30_seconds(age: float, price: float) -> None:
    """A cycle may miss the exchange; after 30 s the list's price is better."""
    assert bitcoin([listing(listed(BTC))], [quotes(BTC=110.0, age=age)])[0] == price


def test_a_halted_pair_is_not_used() -> None:
    """A ticker whose last trade is more than an hour old is ignored."""
    ticker = Ticker(base="BTC", quote="USD", price=110.0, change=None, as_of=NOW - 3601)
    assert bitcoin([listing(listed(BTC))], [Quotes(source="x", tickers=(ticker,), received=NOW)])[0] == 100.0


def test_usdt_is_converted_by_tethers_listed_price() -> None:
    """A USDT quote times Tether's price on the list is the price in dollars."""
    data = of([BTC, USDT], [listing(listed(BTC), listed(USDT, price=0.99))], [binance(BTC=110.0)])
    assert data.prices == {"bitcoin": 108.9, "tether": 0.99}
    assert data.source == "coingecko, binance"


def test_usdt_is_converted_by_an_exchange_where_no_list_has_it() -> None:
    """Without a listed Tether, an exchange's USDT/USD is the rate, and that exchange is a source."""
    data = of([BTC], [], [binance(BTC=110.0), quotes(USDT=0.99, ETH=1.0)])
    assert data.prices == {"bitcoin": 108.9}
    assert data.source == "binance, kraken"


def test_usdt_without_a_rate_is_not_a_price() -> None:
    """A USDT is not taken for a dollar; with nothing else there is nothing to publish."""
    assert combine(NOW, [BTC], [], [binance(BTC=110.0)]) is None
    assert bitcoin([listing(listed(BTC))], [binance(BTC=110.0)])[0] == 100.0
    old = listing(listed(BTC), listed(USDT, price=1.0), age=901)
    assert combine(NOW, [BTC], [old], [binance(BTC=110.0)]) is None


def test_the_preferred_exchange_wins() -> None:
    """Of two fresh prices the first exchange's is taken; where it has none, the second's."""
    lists = [listing(listed(BTC), listed(LEO, price=4.0), listed(USDT, price=1.0))]
    data = of([BTC, LEO], lists, [binance(BTC=110.0), quotes(BTC=111.0, LEO=4.1)])
    assert data.prices == {"bitcoin": 110.0, "leo-token": 4.1}
    assert data.source == "coingecko, binance, kraken"


@pytest.mark.parametrize(
    ("age", "expected"), [(900.0, (100.0, 50.0, 1000.0, 25.0)), (901.0, (110.0, None, 1100.0, 3.0))]
)
def test_listed_figures_last_15_minutes(age: float, expected: tuple[float | None, ...]) -> None:
    """Older volumes are null; the cap stays as long as supply does; the change is the exchange's own, if it has one."""
    answers = [] if age <= 900 else [quotes(BTC=110.0)]
    data = of([BTC], [listing(listed(BTC), age=age)], answers)
    maps = (data.prices, data.volumes, data.market_caps, data.price_changes)
    assert tuple(figures["bitcoin"] for figures in maps) == expected


def test_figures_are_as_old_as_the_list_says() -> None:
    """A list that came now with figures of an hour ago is an hour old; one from the future is as old as its arrival."""
    assert combine(NOW, [BTC], [listing(listed(BTC, as_of=NOW - 3600))], []) is None
    assert bitcoin([listing(listed(BTC, as_of=NOW + 3600))], [])[0] == 100.0


def test_supply_lasts_a_day() -> None:
    """Cap is supply times price for a day, then unknown."""
    assert bitcoin([listing(listed(BTC), age=86_400)], [quotes(BTC=110.0)])[1] == 1100.0
    assert bitcoin([listing(listed(BTC), age=86_401)], [quotes(BTC=110.0)])[1] is None


def test_without_supply_the_listed_cap_is_published() -> None:
    """Unknown supply leaves the list's own cap, while it is fresh."""
    assert bitcoin([listing(listed(BTC, supply=None))], [quotes(BTC=110.0)])[1] == 990.0
    assert bitcoin([listing(listed(BTC, supply=None), age=901)], [quotes(BTC=110.0)])[1] is None


@pytest.mark.parametrize("change", [None, -100.0, -250.0])
def test_a_change_that_leads_nowhere_is_not_rebased(change: float | None) -> None:
    """Without a usable listed change, the winning exchange's own is published, or none."""
    row = listed(BTC, change=change)
    assert bitcoin([listing(row)], [quotes(BTC=110.0)])[2] == 3.0
    assert bitcoin([listing(row)], [])[2] is None


def test_the_newest_list_wins_figure_by_figure() -> None:
    """A fallback's newer list is used, and an older one fills what it lacks while that is fresh."""
    older = listing(listed(BTC), age=300)
    newer = listing(listed(BTC, price=104.0, volume=None, supply=None, market_cap=None, change=30.0), source="paprika")
    data = of([BTC], [older, newer], [])
    assert data.prices == {"bitcoin": 104.0}
    assert data.volumes == {"bitcoin": 50.0}
    assert data.market_caps == {"bitcoin": 1040.0}
    assert data.price_changes == {"bitcoin": 30.0}
    assert data.source == "coingecko, paprika"


def test_only_what_contributed_is_a_source() -> None:
    """A list that merely guarded, or was merely newer, is not named."""
    data = of([BTC], [listing(listed(BTC, supply=None), age=3600)], [quotes(BTC=110.0)])
    assert data.source == "kraken"


def test_a_symbol_of_two_coins_takes_no_exchanges_price() -> None:
    """If two published coins share a symbol, its ticker is ambiguous and is ignored."""
    twin = Coin(id="bitcoin-2", symbol="BTC", name="Bitcoin Two")
    data = of([BTC, twin], [listing(listed(BTC), listed(twin, price=101.0))], [quotes(BTC=105.0)])
    assert data.prices == {"bitcoin": 100.0, "bitcoin-2": 101.0}


def test_an_unknown_coin_is_null_in_all_four_maps() -> None:
    """A wanted coin that no source has keeps its place, null everywhere."""
    data = of([BTC, Coin(id="no-such-coin", symbol="", name="")], [listing(listed(BTC))], [])
    assert data.prices["no-such-coin"] is None
    assert data.market_caps["no-such-coin"] is None


def test_nothing_known_is_no_update() -> None:
    """Without a single price there is nothing to publish, whatever else is known."""
    assert combine(NOW, [BTC], [], []) is None
    assert combine(NOW, [BTC], [listing(listed(BTC, price=None))], []) is None
