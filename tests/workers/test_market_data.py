"""MarketDataService against the simulator, over real sockets and a real Redis: any one source is enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from shared.budget import Budgets
from shared.bus import open_redis
from shared.channels import Channels
from shared.errors import NoSourceError
from shared.payloads import MarketData
from shared.settings import Settings
from simulator.app import Simulator
from simulator.faults import Fault, FaultName
from simulator.server import running
from workers.fetch import Fetcher, open_client
from workers.provider import Ask, Provider, Request
from workers.services import ServiceContext, load_service
from workers.services.market_data import MarketDataService

T = TypeVar("T")

HOSTS = {
    "coingecko": "api.coingecko.com",
    "coinpaprika": "api.coinpaprika.com",
    "coinlore": "api.coinlore.net",
    "binance": "data-api.binance.vision",
    "kraken": "api.kraken.com",
}


@dataclass
class Stage:
    """A service, the simulator it asks, and a clock by hand."""

    simulator: Simulator
    settings: Settings
    fetcher: Fetcher
    now: float
    asked: Counter[str] = field(default_factory=Counter)
    failovers: list[tuple[str, str | None, str | None, str]] = field(default_factory=list)
    service: MarketDataService = field(init=False)

    def __post_init__(self) -> None:
        self.open()

    def open(self, coins: int | tuple[str, ...] = 20) -> None:
        """A new service, with no memory."""
        self.service = MarketDataService(
            self.settings.model_copy(update={"coins": coins}),
            self,
            on_failover=lambda *told: self.failovers.append(told),
            clock=lambda: self.now,
            chance=lambda: 0.0,
        )

    def asker(self, provider: Provider, seconds: float) -> Ask:
        """As the fetcher's, counted."""
        inner = self.fetcher.asker(provider, seconds)

        async def ask(request: Request[T]) -> T:
            self.asked[provider.name] += 1
            return await inner(request)

        return ask

    def spoil(self, *names: str, fault: FaultName = "500") -> None:
        for name in names:
            self.simulator.faults.set(Fault.model_validate({"host": HOSTS[name], "fault": fault}))

    def heal(self, *names: str) -> None:
        for name in names:
            self.simulator.faults.clear(HOSTS[name])

    async def collect(self, later: float = 0.0, deadline: float = 4.0) -> MarketData:
        """One cycle, `later` seconds after the one before."""
        self.now += later
        self.simulator.clock.advance(later)
        return await self.service.collect(self.now, deadline)


@pytest.fixture
async def stage(settings: Settings) -> AsyncIterator[Stage]:
    simulator = Simulator()
    redis = open_redis(settings)
    async with running(simulator) as server:
        simulated = settings.model_copy(update={"simulator_url": server.url})
        async with open_client(simulated) as client:
            fetcher = Fetcher(client, Budgets(redis, Channels(settings.redis_prefix)))
            yield Stage(simulator, simulated, fetcher, simulator.clock.now())
    await redis.aclose()


def sources(data: MarketData) -> list[str]:
    return data.source.replace(" (simulated)", "").split(", ")


def known(figures: dict[str, float | None]) -> int:
    return sum(value is not None for value in figures.values())


async def test_a_whole_market(stage: Stage) -> None:
    """With all sources well, every figure of every coin is there, and says that it is simulated."""
    data = await stage.collect()
    assert data.source == "coingecko (simulated), binance (simulated)"
    assert len(data.prices) == 20
    for figures in (data.prices, data.volumes, data.market_caps, data.price_changes):
        assert list(figures) == list(data.prices)
        assert known(figures) == 20
    assert list(data.prices)[:2] == ["bitcoin", "ethereum"]


async def test_the_list_is_asked_once_a_minute_and_the_exchange_every_cycle(stage: Stage) -> None:
    """Prices move with each cycle; CoinGecko, whose cache lasts 60 s, is asked when that is over."""
    prices = [(await stage.collect(later)).prices["bitcoin"] for later in (0, 5, 5, 45, 5)]
    assert len(set(prices)) == 5
    assert stage.asked == {"coingecko": 2, "binance": 6}  # one of Binance's was its list of symbols


async def test_coins_may_be_named(stage: Stage) -> None:
    """Named coins are published, in their order, known or not; Tether's rate is asked for along with them."""
    stage.open(("solana", "no-such-coin", "bitcoin"))
    data = await stage.collect()
    assert list(data.prices) == ["solana", "no-such-coin", "bitcoin"]
    assert data.prices["no-such-coin"] is None
    assert sources(data) == ["coingecko", "binance"]
    assert known(data.prices) == known(data.market_caps) == 2


@pytest.mark.parametrize(
    "alive", [("coingecko",), ("coinpaprika",), ("coinlore",), ("kraken",), ("binance", "kraken")], ids="+".join
)
async def test_any_source_is_enough(stage: Stage, alive: tuple[str, ...]) -> None:
    """Whichever is left alone from the start, what it knows is published; caps only where a list answers."""
    stage.spoil(*(name for name in HOSTS if name not in alive))
    data = await stage.collect()
    assert sources(data) == list(alive)
    assert known(data.prices) >= 13
    has_list = not {"binance", "kraken"} & set(alive)
    assert known(data.market_caps) == (len(data.prices) if has_list else 0)


async def test_binance_alone_has_no_dollars(stage: Stage) -> None:
    """Without any rate of USDT, its prices are not published as dollars."""
    stage.spoil("coingecko", "coinpaprika", "coinlore", "kraken")
    with pytest.raises(NoSourceError) as caught:
        await stage.collect()
    assert {error.provider for error in caught.value.errors} == set(HOSTS) - {"binance"}


async def test_without_any_source_the_errors_are_told(stage: Stage) -> None:
    """Nothing is invented: NoSourceError holds what each source said."""
    stage.spoil(*HOSTS)
    with pytest.raises(NoSourceError) as caught:
        await stage.collect()
    assert {error.provider for error in caught.value.errors} == set(HOSTS)


FAULTS: tuple[FaultName, ...] = (
    *("429", "429_no_retry_after", "429_html", "418", "500", "html", "truncated", "truncated_json", "wrong_types"),
    *("empty", "error_in_200", "refuse"),
)


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_fails_over_in_the_same_cycle(stage: Stage, fault: FaultName) -> None:
    """Whatever is wrong with the primaries, the fallbacks' figures are published in that very cycle."""
    stage.spoil("coingecko", "binance", fault=fault)
    data = await stage.collect()
    assert sources(data) == ["coinpaprika", "kraken"]
    assert known(data.prices) == known(data.market_caps) == len(data.prices)
    assert {(before, now) for _, before, now, _ in stage.failovers} == {
        ("coingecko", "coinpaprika"),
        ("binance", "kraken"),
    }


async def test_a_hanging_primary_leaves_time_for_the_fallback(stage: Stage) -> None:
    """A source that never answers costs part of the cycle, not the cycle."""
    stage.spoil("coingecko", "binance", fault="hang")
    assert sources(await stage.collect(deadline=1.7)) == ["coinpaprika", "kraken"]


async def test_the_primary_takes_over_when_it_is_back(stage: Stage) -> None:
    """After its pause CoinGecko is tried again, though the fallback's list is young, and answers from then on."""
    stage.spoil("coingecko")
    await stage.collect()
    assert stage.service.lists.active == "coinpaprika"
    await stage.collect(6)  # its pause of 5 s is over: asked again, fails again
    assert stage.asked["coingecko"] == 2
    assert stage.asked["coinpaprika"] == 1  # whose list is young: not asked in vain
    stage.heal("coingecko")
    data = await stage.collect(11)
    assert sources(data)[0] == "coingecko"
    assert stage.service.lists.active == "coingecko"
    assert [told[1:3] for told in stage.failovers] == [("coingecko", "coinpaprika"), ("coinpaprika", "coingecko")]


async def test_a_list_that_fails_is_missed_only_when_its_figures_are_old(stage: Stage) -> None:
    """Volumes last 15 min without any list, caps follow prices for longer."""
    await stage.collect()
    stage.spoil("coingecko", "coinpaprika", "coinlore")
    data = await stage.collect(600)
    assert known(data.volumes) == 20
    stage.heal("kraken")
    data = await stage.collect(600)
    assert known(data.volumes) == 0
    assert sources(data) == ["coingecko", "binance", "kraken"]  # supplies, prices, USDT's rate
    assert known(data.market_caps) >= 13


async def test_nothing_is_repeated_when_no_source_answers_any_more(stage: Stage) -> None:
    """With every source down, a list stands in until it should have been asked again; then nothing is published,
    though its figures are young enough to fill gaps; and it recovers by itself."""
    await stage.collect()
    stage.spoil(*HOSTS)
    assert sources(await stage.collect(31)) == ["coingecko"]
    with pytest.raises(NoSourceError):
        await stage.collect(30)
    stage.heal(*HOSTS)
    assert sources(await stage.collect(60)) == ["coingecko", "binance"]


async def test_a_fallback_keeps_the_coins_of_the_primary(stage: Stage) -> None:
    """Which coins are published does not change with the source of the moment."""
    before = await stage.collect()
    stage.spoil("coingecko")
    after = await stage.collect(61)
    assert sources(after) == ["coinpaprika", "binance"]
    assert list(after.prices) == list(before.prices)


def test_the_table_loads_the_service(stage: Stage) -> None:
    """`load_service` makes it from a context, with nothing started and nothing asked."""
    context = ServiceContext(settings=stage.settings, fetcher=stage.fetcher, on_failover=lambda *told: None)
    service = load_service("market_data", context)
    assert isinstance(service, MarketDataService)
    assert [pool.name for pool in service.pools] == ["market_data listing", "market_data prices"]
