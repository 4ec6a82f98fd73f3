"""What providers ask, and how they use what they are told."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import pytest

from tests.places import RECORDED
from workers.asking.provider import Request, StatusError
from workers.providers import load_provider
from workers.providers.binance import Binance
from workers.providers.coinbase import Coinbase
from workers.providers.coingecko import CoinGecko
from workers.providers.coinlore import CoinLore
from workers.providers.kraken import Kraken

T = TypeVar("T")


class Upstream:
    """Answers each path from a recording and keeps what was asked."""

    def __init__(self, provider: str, answers: dict[str, str]) -> None:
        self.asked: list[Request[Any]] = []
        self._provider = provider
        self._answers = answers

    async def __call__(self, request: Request[T]) -> T:
        self.asked.append(request)
        return request.parse((RECORDED / self._provider / self._answers[request.path]).read_bytes())

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.asked]


def binance() -> Upstream:
    return Upstream("binance", {"/api/v3/ticker/price": "prices.json", "/api/v3/ticker/24hr": "day.json"})


async def test_coingecko_joins_ids_with_a_bare_comma() -> None:
    """A list of ids has no spaces: CoinGecko drops what follows one."""
    upstream = Upstream("coingecko", {"/coins/markets": "markets.json"})
    await CoinGecko().listing(upstream, ("bitcoin", "tether"))
    assert upstream.asked[0].params["ids"] == "bitcoin,tether"
    assert upstream.asked[0].params["per_page"] == "2"


async def test_coingecko_asks_for_the_first_coins_in_one_page() -> None:
    """A count asks for one page of so many coins by market value."""
    upstream = Upstream("coingecko", {"/coins/markets": "markets.json"})
    await CoinGecko().listing(upstream, 100)
    assert upstream.asked[0].params["per_page"] == "100"
    assert "ids" not in upstream.asked[0].params


def test_coingecko_sends_a_key_only_where_there_is_one() -> None:
    """Keyless there is no key header and the small budget; with a demo key both are larger."""
    keyless, with_key = load_provider("coingecko"), load_provider("coingecko", "CG-secret")
    assert keyless.headers() == {}
    assert with_key.headers() == {"x-cg-demo-api-key": "CG-secret"}
    assert with_key.budget.units > keyless.budget.units


async def test_coinlore_turns_pages() -> None:
    """More than a hundred coins take more than one page, and a coin that is on two comes once."""
    upstream = Upstream("coinlore", {"/tickers/": "tickers.json"})
    coins = await CoinLore().listing(upstream, 150)
    assert [request.params["start"] for request in upstream.asked] == ["0", "100"]
    assert [coin.symbol for coin in coins] == ["BTC", "ETH", "NEW"]


async def test_binance_asks_only_for_symbols_that_it_lists() -> None:
    """The list of symbols is read first; of the wanted coins only those in it are asked for, in compact JSON."""
    upstream = binance()
    tickers = await Binance().tickers(upstream, ("BTC", "LEO", "ETH", "USDT"))
    assert upstream.paths == ["/api/v3/ticker/price", "/api/v3/ticker/24hr"]
    assert upstream.asked[1].params == {"symbols": '["BTCUSDT","ETHUSDT"]', "type": "MINI"}
    assert [request.cost for request in upstream.asked] == [4, 2]
    assert tickers[0].base == "BTC"


async def test_binance_reads_its_symbols_once_an_hour() -> None:
    """A second cycle asks for prices only; an hour later the list is read again."""
    now = [0.0]
    provider, upstream = Binance(clock=lambda: now[0]), binance()
    await provider.tickers(upstream, ("BTC",))
    await provider.tickers(upstream, ("BTC",))
    assert upstream.paths.count("/api/v3/ticker/price") == 1
    now[0] = 3600.0
    await provider.tickers(upstream, ("BTC",))
    assert upstream.paths.count("/api/v3/ticker/price") == 2


async def test_binance_with_nothing_to_ask_asks_nothing() -> None:
    """Coins that it does not trade cost no second call."""
    upstream = binance()
    assert await Binance().tickers(upstream, ("LEO",)) == ()
    assert upstream.paths == ["/api/v3/ticker/price"]


@pytest.mark.parametrize(("count", "weight"), [(1, 2), (20, 2), (21, 40), (100, 40), (101, 80)])
async def test_binance_counts_weight_by_symbols(count: int, weight: int) -> None:
    """A call of 1-20 symbols weighs 2, of 21-100 40, of more 80."""
    rows = [{"symbol": f"C{number}USDT", "price": "1"} for number in range(count)]
    day = (RECORDED / "binance" / "day.json").read_bytes()
    costs = []

    async def ask(request: Request[T]) -> T:
        costs.append(request.cost)
        return request.parse(json.dumps(rows).encode() if request.path.endswith("price") else day)

    await Binance().tickers(ask, tuple(f"C{number}" for number in range(count)))
    assert costs[1] == weight


async def test_kraken_gives_the_wanted_coins_and_the_rate_of_usdt() -> None:
    """One call for all pairs; of the answer, the wanted coins' dollar pairs and USDT's stay."""
    upstream = Upstream("kraken", {"/Ticker": "ticker.json"})
    tickers = await Kraken().tickers(upstream, ("DOGE", "ETH"))
    assert upstream.asked[0].params == {"assetVersion": "1"}
    assert [(ticker.base, ticker.quote) for ticker in tickers] == [("DOGE", "USD"), ("USDT", "USD")]


async def test_coinbase_names_the_products_that_it_wants() -> None:
    """One call for the wanted coins' dollar products and USDT's; a symbol that would change the address is left out."""
    path = "/market/products?product_type=SPOT&product_ids=BTC-USD&product_ids=ETH-USD&product_ids=USDT-USD"
    upstream = Upstream("coinbase", {path: "products.json"})
    tickers = await Coinbase().tickers(upstream, ("BTC", "ETH", "$WIF", "A&B=C", "BTC", "ÄÖ", ""))
    assert upstream.paths == [path]
    assert tickers[0].base == "BTC"


@pytest.mark.parametrize("status", [400, 404])
async def test_a_product_that_coinbase_refuses_costs_no_other_price(status: int) -> None:
    """All products are then asked for, once; from then on those that there are."""
    body = (RECORDED / "coinbase" / "products.json").read_bytes()
    asked: list[str] = []

    async def ask(request: Request[T]) -> T:
        asked.append(request.path.partition("product_type=SPOT")[2])
        if "NOPE" in request.path:
            raise StatusError("coinbase", status)
        return request.parse(body)

    provider = Coinbase()
    assert [ticker.base for ticker in await provider.tickers(ask, ("BTC", "NOPE"))] == ["BTC", "USDT"]
    await provider.tickers(ask, ("BTC", "NOPE"))
    first, second = "&product_ids=BTC-USD", "&product_ids=USDT-USD"
    assert asked == [f"{first}&product_ids=NOPE-USD{second}", "", first + second]


async def test_other_refusals_of_coinbase_are_not_answered_by_a_larger_question() -> None:
    """A limit or an outage is the pool's to deal with."""
    asked: list[str] = []

    async def ask(request: Request[T]) -> T:
        asked.append(request.path)
        raise StatusError("coinbase", 429)

    with pytest.raises(StatusError):
        await Coinbase().tickers(ask, ("BTC",))
    assert len(asked) == 1
