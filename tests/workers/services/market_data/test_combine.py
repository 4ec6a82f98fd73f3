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
    for figures in (data.prices, data.volumes, data.market_caps, data.price_changes, data.price_spread_bps):
        assert list(figures) == keys
    assert set(data.disputed) <= set(keys)
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
    """Beyond 20 % the list's price wins, for its id is certain; the coin is then disputed."""
    data = of([BTC], [listing(listed(BTC))], [quotes(BTC=price)])
    assert data.prices["bitcoin"] == (price if wins else 100.0)
    assert data.source == ("coingecko, kraken" if wins else "coingecko")
    assert data.disputed == ({} if wins else {"bitcoin": {"kraken": price, "coingecko": 100.0}})


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


def test_the_moments_of_sources() -> None:
    """`as_of` has the oldest moment of what each source said: its own, or that of being asked; also of those that were
    only compared."""
    rows = [listed(BTC, as_of=NOW - 90), listed(LEO, price=4.0, as_of=NOW - 40)]
    answers = [quotes("binance", BTC=100.0, age=2), quotes("coinbase", BTC=100.0, age=5)]
    data = of([BTC, LEO], [listing(*rows, age=10), listing(listed(BTC), source="paprika", age=60)], answers)
    assert data.source == "coingecko, binance"
    assert data.as_of == {
        "coingecko": "2023-11-14T22:11:50.000Z",
        "binance": "2023-11-14T22:13:18.000Z",
        "coinbase": "2023-11-14T22:13:15.000Z",
    }


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


EXCHANGES = ("binance", "kraken", "coinbase")


def three(*prices: float | None) -> list[Quotes]:
    """Dollar prices of Bitcoin at up to three exchanges."""
    return [quotes(name, BTC=price) for name, price in zip(EXCHANGES, prices, strict=False) if price is not None]


@pytest.mark.parametrize(
    ("prices", "spread"),
    [
        ((100.0, 101.0, 100.5), 99.50),  # of the median
        ((100.0, 101.0), 99.50),
        ((100.0, 100.0, 100.0), 0.0),
        ((100.0, None, 100.01), 1.0),
        ((100.0,), None),
        ((), None),
        ((100.0, 115.0, 101.0), 1485.15),
        ((100.0, 400.0), None),  # another coin's
    ],
)
def test_the_spread_of_exchanges(prices: tuple[float | None, ...], spread: float | None) -> None:
    """Highest less lowest price in basis points of the median, where more than one exchange has the coin."""
    data = of([BTC], [listing(listed(BTC))], three(*prices))
    assert data.price_spread_bps == {"bitcoin": spread}


def test_the_spread_is_of_fresh_prices_in_dollars() -> None:
    """A USDT price is converted; one that can't be, and one that is ten seconds older than another, is not compared."""
    rated = listing(listed(BTC), listed(USDT, price=0.5))
    assert of([BTC], [rated], [binance(BTC=200.0), quotes(BTC=101.0)]).price_spread_bps == {"bitcoin": 99.5}
    assert (
        of([BTC], [listing(listed(BTC))], [binance(BTC=100.0), quotes(BTC=101.0)]).price_spread_bps["bitcoin"] is None
    )
    for age, spread in ((10.0, 99.5), (10.1, None)):
        late = [quotes(BTC=100.0, age=age), quotes("coinbase", BTC=101.0)]
        assert of([BTC], [listing(listed(BTC))], late).price_spread_bps["bitcoin"] == spread


@pytest.mark.parametrize(
    ("listed_price", "prices", "price", "disputed"),
    [
        (100.0, (130.0, 101.0, 99.0), 101.0, True),  # the preferred exchange is wrong
        (100.0, (101.0, 130.0, 99.0), 101.0, True),
        (100.0, (70.0, 101.0), 101.0, True),
        (None, (130.0, 101.0, 99.0), 101.0, True),
        (130.0, (100.0, 101.0, 99.0), 100.0, True),  # the list is
        (130.0, (100.0, 101.0), 100.0, True),
        (100.0, (130.0,), 100.0, True),  # no majority: the list
        (100.0, (130.0, None, 131.0), 130.0, True),
        (None, (100.0, 130.0), None, True),  # no majority and no list
        (100.0, (300.0, 101.0), 101.0, True),  # another coin with the same symbol
        (100.0, (300.0, 700.0), 100.0, True),
        (100.0, (300.0, 301.0, 302.0), None, True),  # three say so: who is right can't be known
        (100.0, (300.0, 301.0, 99.0), 99.0, True),
        (100.0, (101.0, 99.0, 100.5), 101.0, False),
        (100.0, (113.0, 95.0, 100.0), 113.0, False),  # a wide spread, but not a fifth
        (None, (100.0, 101.0), 100.0, False),
        (None, (100.0,), 100.0, False),
    ],
)
def test_what_is_published_of_sources_that_contradict_each_other(
    listed_price: float | None, prices: tuple[float | None, ...], price: float | None, disputed: bool
) -> None:
    """What most say; without a majority what the list says; nothing if exchanges agree on what is not half to double
    of the list. The payload names the dispute, with what each source says."""
    lists = [listing(listed(BTC, price=listed_price), listed(LEO, price=4.0))]
    data = of([BTC, LEO], lists, three(*prices))
    said = {name: said for name, said in zip(EXCHANGES, prices, strict=False) if said is not None}
    if listed_price is not None:
        said["coingecko"] = listed_price
    assert data.prices == {"bitcoin": price, "leo-token": 4.0}
    assert data.disputed == ({"bitcoin": said} if disputed else {})


@pytest.mark.parametrize(
    ("age", "price", "disputed"),
    [(60.0, 119.0, False), (60.0, 125.0, True), (300.0, 140.0, False), (300.0, 150.0, True), (900.0, 199.0, False)],
)
def test_a_market_may_have_moved_since_the_list_was_made(age: float, price: float, disputed: bool) -> None:
    """The bound is a fifth within a minute, and grows to half or double within 15 min: a fast market is no dispute."""
    assert bool(of([BTC], [listing(listed(BTC), age=age)], three(price, price)).disputed) is disputed


def test_a_stablecoin_that_loses_its_dollar_is_no_dispute() -> None:
    """The exchanges' price is followed, and their spread shows how far they are apart."""
    answers = [quotes("kraken", USDT=0.86), quotes("coinbase", USDT=0.88)]
    data = of([USDT], [listing(listed(USDT, price=0.99), age=60)], answers)
    assert (data.prices["tether"], data.disputed) == (0.86, {})
    assert data.price_spread_bps["tether"] == 229.89


def test_a_disputed_rate_is_not_used() -> None:
    """USDT prices are converted by what most sources say of Tether, or not at all."""
    lists = [listing(listed(BTC), listed(USDT, price=1.3))]
    most = [binance(BTC=100.0), quotes("kraken", USDT=1.0), quotes("coinbase", USDT=1.0)]
    assert of([BTC, USDT], lists, most).prices == {"bitcoin": 100.0, "tether": 1.0}
    odd = [binance(BTC=110.0), quotes("kraken", USDT=2.7), quotes("coinbase", USDT=2.7)]
    assert of([BTC, USDT], lists, odd).prices == {"bitcoin": 100.0, "tether": None}


def test_nothing_is_derived_from_a_list_that_lost_a_dispute() -> None:
    """The change is then the exchange's own, and the cap without a supply is unknown; nor is a disputed list's."""
    row = listed(BTC, price=130.0, supply=None)
    data = of([BTC], [listing(row)], three(100.0, 101.0))
    assert (data.price_changes["bitcoin"], data.market_caps["bitcoin"]) == (3.0, None)
    data = of([BTC, LEO], [listing(row, listed(LEO))], three(300.0, 301.0))
    assert (data.price_changes["bitcoin"], data.market_caps["bitcoin"]) == (None, None)


def test_an_exchange_against_an_old_list_is_named() -> None:
    """A price that a list of the last day contradicts is not published, and not left out in silence."""
    lists = [listing(listed(BTC), age=3600), listing(listed(LEO), source="paprika")]
    data = of([BTC, LEO], lists, three(300.0))
    assert data.prices["bitcoin"] is None
    assert data.disputed == {"bitcoin": {"binance": 300.0}}


@pytest.mark.parametrize("own", [NOW + 7200, NOW + 365 * 86400, NOW * 1000, NOW / 1000, 1.0])
def test_a_figure_of_the_future_or_of_1970_does_not_count(own: float) -> None:
    """Nothing shows how old it is: the next source counts, be it a list or an exchange."""
    rows = [listing(listed(BTC, as_of=own, price=1.0)), listing(listed(BTC), source="coinpaprika", age=1.0)]
    ahead = Ticker(base="BTC", quote="USD", price=101.0, change=None, as_of=own)
    data = of([BTC], rows, [Quotes(source="kraken", tickers=(ahead,), received=NOW)])
    assert data.prices == {"bitcoin": 100.0}
    assert data.source == "coinpaprika"
    assert combine(NOW, [BTC], rows[:1], []) is None
