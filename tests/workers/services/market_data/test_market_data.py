"""MarketDataService against the simulator, over real sockets and a real Redis: any one source is enough."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from shared.coins import KnownCoin
from shared.errors import NoSourceError
from shared.payloads import MarketData
from simulator.faults import FaultName
from simulator.world.coins import Coin
from simulator.world.market import Market
from tests.workers.stage import FAULTS, Stage, hosts_of
from workers.providers import load_provider, provider_class
from workers.services import load_service
from workers.services.market_data.service import EXCHANGES, LISTS, MarketDataService

KEYLESS = [name for name in LISTS if not provider_class(name).listing_needs_key]
HOSTS = {name: hosts_of(load_provider(name))[0] for name in (*KEYLESS, *EXCHANGES)}
"""Where each source that needs no key is asked."""


async def collect(stage: Stage, later: float = 0.0, deadline: float = 20.0) -> MarketData:
    """One cycle of market_data for 20 coins, with time enough for every exchange, however busy this machine is."""
    if not hasattr(stage, "service"):
        stage.open("market_data", coins=20)
    data: MarketData = await stage.collect(later, deadline)
    return data


def sources(data: MarketData) -> list[str]:
    return data.source.replace(" (simulated)", "").split(", ")


def _service(stage: Stage) -> MarketDataService:
    assert isinstance(stage.service, MarketDataService)
    return stage.service


def known(figures: dict[str, float | None]) -> int:
    return sum(value is not None for value in figures.values())


async def test_a_whole_market(stage: Stage) -> None:
    """With all sources well, every figure of every coin is there, and says that it is simulated."""
    data = await collect(stage)
    # Kraken has the price of Tether; it and Coinbase are compared, too.
    assert data.source == "coingecko (simulated), binance (simulated), kraken (simulated)"
    assert list(data.as_of) == [f"{name} (simulated)" for name in ("coingecko", *EXCHANGES)]
    assert len(data.prices) == 20
    for figures in (data.prices, data.volumes, data.market_caps, data.price_changes):
        assert list(figures) == list(data.prices)
        assert known(figures) == 20
    assert list(data.prices)[:2] == ["bitcoin", "ethereum"]


async def test_exchanges_are_compared(stage: Stage) -> None:
    """Each coin that several exchanges trade has their spread, a few basis points; nobody contradicts anybody."""
    data = await collect(stage)
    spreads = data.price_spread_bps
    assert list(spreads) == list(data.prices)
    assert known(spreads) >= 13
    assert all(0 <= spread < 20 for spread in spreads.values() if spread is not None)
    assert data.disputed == {}


async def test_one_exchange_that_is_wrong_is_named(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three exchanges, of which the preferred one is 30 % too high: what the others say is published."""
    right = await collect(stage)
    price = Market.price

    def wrong(market: Market, coin: Coin, time: float, venue: str = "") -> float:
        return price(market, coin, time, venue) * (1.3 if (venue, coin.id) == ("binance", "bitcoin") else 1.0)

    monkeypatch.setattr(Market, "price", wrong)
    data = await collect(stage, 5)
    assert data.prices["bitcoin"] == pytest.approx(right.prices["bitcoin"], rel=0.02)
    assert list(data.disputed) == ["bitcoin"]
    said = data.disputed["bitcoin"]
    assert [name.removesuffix(" (simulated)") for name in said] == [*EXCHANGES, "coingecko"]
    assert said["binance (simulated)"] == pytest.approx(said["kraken (simulated)"] * 1.3, rel=0.02)
    assert data.price_spread_bps["bitcoin"] == pytest.approx(3000, abs=30)


@pytest.mark.parametrize("silent", EXCHANGES)
@pytest.mark.slow
async def test_one_exchange_without_an_answer_costs_the_others_nothing(stage: Stage, silent: str) -> None:
    """Whichever fails or never answers, the spread is that of the others, in the same cycle."""
    stage.spoil(HOSTS[silent], fault="500" if silent == "binance" else "hang")
    data = await collect(stage, deadline=8.0)
    assert {name.removesuffix(" (simulated)") for name in data.as_of} == {"coingecko", *EXCHANGES} - {silent}
    assert known(data.prices) == 20
    assert known(data.price_spread_bps) >= 9


async def test_the_list_is_asked_once_a_minute_and_the_exchange_every_cycle(stage: Stage) -> None:
    """Prices move with each cycle; CoinGecko, whose cache lasts 60 s, is asked when that is over."""
    prices = [(await collect(stage, later)).prices["bitcoin"] for later in (0, 5, 5, 45, 5)]
    assert len(set(prices)) == 5
    # One of Binance's was its list of symbols.
    assert stage.asked == {"coingecko": 2, "binance": 6, "kraken": 5, "coinbase": 5}


async def test_coins_may_be_named(stage: Stage) -> None:
    """Named coins are published, in their order, known or not; Tether's rate is asked for along with them."""
    stage.open("market_data", coins=("solana", "no-such-coin", "bitcoin"))
    data = await collect(stage)
    assert list(data.prices) == ["solana", "no-such-coin", "bitcoin"]
    assert data.prices["no-such-coin"] is None
    assert sources(data) == ["coingecko", "binance"]
    assert known(data.prices) == known(data.market_caps) == 2


async def test_it_knows_the_coins_that_it_publishes(stage: Stage) -> None:
    """Those come first, ranked by market value, with symbol and name; then all others that it has heard of.

    Until a list answers, none has a rank; what was learned then stays when no list answers any more.
    """
    stage.open("market_data", coins=20)
    before = _service(stage).known_coins
    assert not before.learned
    assert {coin.rank for coin in before.coins} == {None}
    data = await collect(stage)
    known = _service(stage).known_coins
    assert known.learned
    assert [coin.id for coin in known.coins[:20]] == list(data.prices)
    assert [coin.rank for coin in known.coins[:21]] == [*range(1, 21), None]
    assert known.coins[0] == KnownCoin(id="bitcoin", symbol="BTC", name="Bitcoin", rank=1)
    assert {coin.id for coin in known.coins} == {coin.id for coin in before.coins} | set(data.prices)
    assert _service(stage).known_coins is known


async def test_named_coins_are_ranked_among_themselves(stage: Stage) -> None:
    """A coin that nobody lists is known by its id; Tether, which is only asked for its rate, has no rank."""
    stage.open("market_data", coins=("solana", "no-such-coin", "bitcoin"))
    await collect(stage)
    first, second, third, *others = _service(stage).known_coins.coins
    assert [(coin.id, coin.rank) for coin in (first, second)] == [("bitcoin", 1), ("solana", 2)]
    assert third == KnownCoin(id="no-such-coin")
    assert [coin.rank for coin in others if coin.id == "tether"] == [None]


@pytest.mark.parametrize(
    "alive", [("coingecko",), ("coinpaprika",), ("coinlore",), ("kraken",), ("binance", "kraken")], ids="+".join
)
async def test_any_source_is_enough(stage: Stage, alive: tuple[str, ...]) -> None:
    """Whichever is left alone from the start, what it knows is published; caps only where a list answers."""
    stage.spoil(*(host for name, host in HOSTS.items() if name not in alive))
    data = await collect(stage)
    assert sources(data) == list(alive)
    assert known(data.prices) >= 13
    has_list = not set(EXCHANGES) & set(alive)
    assert known(data.market_caps) == (len(data.prices) if has_list else 0)


async def test_binance_alone_has_no_dollars(stage: Stage) -> None:
    """Without any rate of USDT, its prices are not published as dollars."""
    stage.spoil(*(host for name, host in HOSTS.items() if name != "binance"))
    with pytest.raises(NoSourceError) as caught:
        await collect(stage)
    assert {error.provider for error in caught.value.errors} == set(HOSTS) - {"binance"}


async def test_without_any_source_the_errors_are_told(stage: Stage) -> None:
    """Nothing is invented: NoSourceError holds what each source said."""
    stage.spoil(*HOSTS.values())
    with pytest.raises(NoSourceError) as caught:
        await collect(stage)
    assert {error.provider for error in caught.value.errors} == set(HOSTS)


@pytest.mark.parametrize("fault", [*FAULTS, "no_rows"])
async def test_every_fault_fails_over_in_the_same_cycle(stage: Stage, fault: FaultName) -> None:
    """Whatever is wrong with the primaries, the fallbacks' figures are published in that very cycle."""
    stage.spoil(HOSTS["coingecko"], HOSTS["binance"], fault=fault)
    data = await collect(stage)
    assert sources(data) == ["coinpaprika", "kraken"]
    assert known(data.prices) == known(data.market_caps) == len(data.prices)
    assert {(before, now) for _, before, now, _ in stage.failovers} == {
        ("coingecko", "coinpaprika"),
        ("binance", "kraken"),
    }


async def test_an_odd_row_of_the_primaries_is_no_fault(stage: Stage) -> None:
    """One coin's price that is an object costs that row alone: nobody fails over."""
    stage.spoil(HOSTS["coingecko"], HOSTS["binance"], fault="odd_row")
    data = await collect(stage)
    assert sources(data) == ["coingecko", "binance", "kraken"]
    assert known(data.prices) >= len(data.prices) - 1
    assert stage.failovers == []


@pytest.mark.slow
async def test_a_hanging_primary_leaves_time_for_the_fallback(stage: Stage) -> None:
    """A source that never answers costs part of the cycle, not the cycle."""
    stage.spoil(HOSTS["coingecko"], HOSTS["binance"], fault="hang")
    assert sources(await collect(stage, deadline=5.0)) == ["coinpaprika", "kraken"]


async def test_the_primary_takes_over_when_it_is_back(stage: Stage) -> None:
    """After its pause CoinGecko is tried again, though the fallback's list is young, and answers from then on."""
    stage.spoil(HOSTS["coingecko"])
    await collect(stage)
    assert _service(stage).lists.active == "coinpaprika"
    await collect(stage, 6)  # its pause of 5 s is over: asked again, fails again
    assert stage.asked["coingecko"] == 2
    assert stage.asked["coinpaprika"] == 1  # whose list is young: not asked in vain
    stage.heal(HOSTS["coingecko"])
    data = await collect(stage, 11)
    assert sources(data)[0] == "coingecko"
    assert _service(stage).lists.active == "coingecko"
    assert [told[1:3] for told in stage.failovers] == [("coingecko", "coinpaprika"), ("coinpaprika", "coingecko")]


async def test_a_list_that_fails_is_missed_only_when_its_figures_are_old(stage: Stage) -> None:
    """Volumes last 15 min without any list, caps follow prices for longer."""
    await collect(stage)
    stage.spoil(*(HOSTS[name] for name in KEYLESS))
    data = await collect(stage, 600)
    assert known(data.volumes) == 20
    stage.heal(HOSTS["kraken"])
    data = await collect(stage, 600)
    assert known(data.volumes) == 0
    assert sources(data) == ["coingecko", "binance", "kraken"]  # supplies, prices, USDT's rate
    assert known(data.market_caps) >= 13


async def test_nothing_is_repeated_when_no_source_answers_any_more(stage: Stage) -> None:
    """With every source down, a list stands in until it should have been asked again; then nothing is published,
    though its figures are young enough to fill gaps; and it recovers by itself."""
    await collect(stage)
    stage.spoil(*HOSTS.values())
    assert sources(await collect(stage, 31)) == ["coingecko"]
    with pytest.raises(NoSourceError):
        await collect(stage, 30)
    stage.heal(*HOSTS.values())
    assert sources(await collect(stage, 60)) == ["coingecko", "binance", "kraken"]


async def test_a_fallback_keeps_the_coins_of_the_primary(stage: Stage) -> None:
    """Which coins are published does not change with the source of the moment."""
    before = await collect(stage)
    stage.spoil(HOSTS["coingecko"])
    after = await collect(stage, 61)
    assert sources(after) == ["coinpaprika", "binance", "kraken"]
    assert list(after.prices) == list(before.prices)


async def test_a_list_that_needs_a_key_joins_with_it(stage: Stage) -> None:
    """CoinMarketCap is asked only where the operator has a key; then it stands in first, its symbols mapped to ids."""
    stage.spoil(HOSTS["coingecko"])
    assert sources(await collect(stage)) == ["coinpaprika", "binance", "kraken"]
    assert stage.asked["coinmarketcap"] == 0
    stage.open("market_data", coins=20, coinmarketcap_key=SecretStr("cmc-key"))
    data = await collect(stage)
    assert sources(data) == ["coinmarketcap", "binance", "kraken"]
    assert {"bitcoin", "ethereum", "tether"} <= set(data.prices)
    assert known(data.market_caps) == len(data.prices)


def test_the_table_loads_the_service(stage: Stage) -> None:
    """`load_service` makes it from a context, with nothing started and nothing asked."""
    service = load_service("market_data", stage.context())
    assert isinstance(service, MarketDataService)
    assert [pool.name for pool in service.pools] == ["market_data listing", "market_data prices"]
