"""Which coin a row is about."""

from __future__ import annotations

import re

import pytest

from shared.coins import Coins
from shared.errors import AmbiguousCoinError
from tests.places import UPSTREAM
from workers.answers import ListedCoin
from workers.providers import load_provider
from workers.services.market_data.coins import Coin, identify, known_coins, learn, seed

BITCOIN = Coin(id="bitcoin", symbol="BTC", name="Bitcoin")


def row(symbol: str, name: str, *, coin_id: str | None = None, price: float | None = 1.0) -> ListedCoin:
    return ListedCoin(
        coin_id=coin_id, symbol=symbol, name=name, price=price,
        volume=None, market_cap=None, supply=None, change=None, as_of=None,
    )  # fmt: skip


def ids(rows: list[ListedCoin], known: tuple[Coin, ...], prices: dict[str, float] | None = None) -> list[str | None]:
    return [found.coin_id for found in identify(rows, known, prices)]


def test_the_seed_has_each_coin_once() -> None:
    """Ids and symbols of the seed are unique, in CoinGecko's spelling, and Tether is among the first ten."""
    coins = seed()
    assert len({coin.id for coin in coins}) == len({coin.symbol for coin in coins}) == len(coins) >= 150
    assert all(re.fullmatch(r"[a-z0-9-]+", coin.id) and coin.symbol == coin.symbol.upper() for coin in coins)
    assert "tether" in [coin.id for coin in coins[:10]]


@pytest.mark.parametrize(
    ("symbol", "name", "coin_id"),
    [
        ("BTC", "Bitcoin", "bitcoin"),
        ("BNB", "Binance Coin", "binancecoin"),
        ("XRP", "XRP", "ripple"),
        ("USDC", "USD Coin", "usd-coin"),
        ("NEAR", "Near", "near"),
        ("ATOM", "Cosmos", "cosmos"),
        ("MIOTA", "IOTA", "iota"),
        ("GRT", "Graph", "the-graph"),
        ("POL", "POL (prev. MATIC)", "polygon-ecosystem-token"),
    ],
)
def test_a_coin_is_known_by_symbol_and_name(symbol: str, name: str, coin_id: str) -> None:
    """Spelling, fillers like `Token`, brackets and known other names don't matter."""
    assert ids([row(symbol, name)], seed()) == [coin_id]


@pytest.mark.parametrize(
    ("symbol", "name"), [("BTC", "Batcat"), ("XBTC", "Bitcoin"), ("BCH", "Bitcoin"), ("WBTC", "Bitcoin"), ("X", "Sui")]
)
def test_symbol_and_name_must_both_fit(symbol: str, name: str) -> None:
    """One of the two alone is another coin's."""
    assert ids([row(symbol, name)], seed()) == []


def test_two_rows_for_one_coin_are_both_left_out() -> None:
    """Where two rows fit a coin equally, none is taken."""
    assert ids([row("BTC", "Bitcoin"), row("BTC", "bitcoin")], (BITCOIN,)) == []


def test_an_equal_name_beats_one_with_fillers() -> None:
    """`Bitcoin Token` does not take Bitcoin's place, nor keep it out."""
    found = identify([row("BTC", "Bitcoin Token", price=9.0), row("BTC", "Bitcoin")], (BITCOIN,))
    assert [coin.name for coin in found] == ["Bitcoin"]


def test_a_row_that_fits_two_coins_is_left_out() -> None:
    """An ambiguous row is not guessed."""
    known = (Coin(id="jupiter", symbol="JUP", name="Jupiter"), Coin(id="jupiter-2", symbol="JUP", name="Jupiter"))
    assert ids([row("JUP", "Jupiter")], known) == []


def test_a_price_far_off_is_another_coins() -> None:
    """A row with a price more than three times off the coin's recent price is left out."""
    assert ids([row("BTC", "Bitcoin", price=31.0)], (BITCOIN,), {"bitcoin": 10.0}) == []
    assert ids([row("BTC", "Bitcoin", price=29.0)], (BITCOIN,), {"bitcoin": 10.0}) == ["bitcoin"]
    assert ids([row("BTC", "Bitcoin", price=None)], (BITCOIN,), {"bitcoin": 10.0}) == ["bitcoin"]


def test_a_listing_overrides_the_seed() -> None:
    """What CoinGecko lists comes first, in its order and spelling; what it contradicts in the seed is dropped."""
    known = learn([row("SUI", "Sui Foundation", coin_id="sui"), row("PEPE", "Other Frog", coin_id="frog")])
    assert [coin.id for coin in known[:2]] == ["sui", "frog"]
    assert "pepe" not in [coin.id for coin in known]
    assert "bitcoin" in [coin.id for coin in known]
    assert ids([row("SUI", "Sui")], known) == ["sui"]


def test_real_lists_map_without_a_wrong_coin() -> None:
    """CoinPaprika's list of 2021 on CoinGecko's of 2022: every mapping is right, and doubtful rows are left out."""
    listed, rows = UPSTREAM / "coingecko/coins_markets_250_2022-02.json", UPSTREAM / "coinpaprika/tickers_usd_2021.json"
    if not listed.exists() or not rows.exists():
        pytest.skip("no recordings of real answers here")
    gecko = load_provider("coingecko").parsers["markets"](listed.read_bytes())
    paprika = load_provider("coinpaprika").parsers["tickers"](rows.read_bytes())
    known = tuple(Coin(id=coin.coin_id, symbol=coin.symbol, name=coin.name) for coin in gecko)
    found = {coin.coin_id: coin for coin in identify(paprika, known)}
    assert len(found) >= 160
    assert list(found)[:4] == ["bitcoin", "ethereum", "tether", "binancecoin"]
    # Same symbol, another coin: Anoncoin, Raven Dark, Impermax, Chrono.tech, GameX, Boobam.
    assert not {"anchor-protocol", "radix", "immutable-x", "wonderland", "gmx", "boba-network"} & found.keys()
    # Half a year of a wild market lies between the lists. A price more than a hundred times off is another coin's:
    # only BitTorrent, which between them was split a thousandfold and kept its symbol and name.
    prices = {coin.coin_id: coin.price for coin in gecko}
    far = [coin_id for coin_id, coin in found.items() if coin.price and not 0.01 < coin.price / prices[coin_id] < 100]
    assert far == ["bittorrent"]
    assert "bittorrent" not in {coin.coin_id for coin in identify(paprika, known, prices)}


def test_a_symbol_that_has_changed_hands_has_two_meanings() -> None:
    """A coin of the seed is known as long as it may be meant, also where the list has another one with its symbol."""
    other = Coin(id="bitcoin-other", symbol="BTC", name="Other")
    known = learn([row("BTC", "Other", coin_id="bitcoin-other")])
    assert BITCOIN.id not in {coin.id for coin in known}
    coins = Coins(known_coins([other], ["bitcoin-other"], known))
    with pytest.raises(AmbiguousCoinError) as raised:
        coins.resolve("BTC")
    assert raised.value.ids == ["bitcoin-other", "bitcoin"]
