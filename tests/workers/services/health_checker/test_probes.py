"""Light requests: every provider has one, and nobody is asked whom the collectors ask, or whose budget they need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr
from structlog.testing import capture_logs

from launcher.redis_server import RedisServer
from shared.budget import Budget
from shared.bus import open_redis
from shared.bus.budgets import Budgets
from shared.bus.reports import CallReport, Reports
from shared.channels import Channels
from shared.errors import ProviderError
from shared.settings import Settings
from tests.shared.outage import Clock
from tests.waiting import until
from tests.workers.stage import FAULTS, NOON, Stage, hosts_of, is_node
from tests.workers.watching import Worker, open_worker
from workers.asking.provider import Provider
from workers.providers import PROVIDERS, load_provider, provider_class
from workers.services import sources_of
from workers.services.health_checker.probing import Plan, Prober, plan_of
from workers.services.rpc_nodes.nodes import DEFAULT_NODES, open_node

NODES = {node.label: node for node in DEFAULT_NODES}
UPSTREAMS = [name for name in PROVIDERS if not is_node(name)]
"""Every provider that some pool may have, but nodes."""
PROBED = [*UPSTREAMS, "ethereum/publicnode", "solana/solana"]
"""And nodes, one of a kind."""
COINGECKO = "api.coingecko.com"


def new_provider(name: str) -> Provider:
    """The provider, with a key where it needs one; for the hub's inference, that has a model in it."""
    if name in NODES:
        return open_node(NODES[name])
    return load_provider(name, "ElKulako/cryptobert:key" if provider_class(name).needs_key else None)


def report(at: float, *, failures: int = 0, limited: bool = False) -> CallReport:
    error = "HTTP 429" if limited else "HTTP 500" if failures else None
    return CallReport(at=at, milliseconds=1.0, error=error, failures=failures, limited=limited)


@pytest_asyncio.fixture
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """The process that probes."""
    async with open_worker(stage) as worker:
        yield worker


@pytest_asyncio.fixture
async def other(stage: Stage) -> AsyncIterator[Worker]:
    """Another process, which collects."""
    async with open_worker(stage, "data_collection") as worker:
        yield worker


@pytest.mark.parametrize("name", PROBED)
async def test_every_provider_is_probed_with_one_call(stage: Stage, name: str) -> None:
    """It answers, for one unit of its budget; Reddit's app needs a token besides."""
    provider = new_provider(name)
    await provider.probe(stage.asker(provider, 3.0))
    assert stage.asked[name] == (2 if name == "reddit" else 1)
    spent = Budget(stage.asked[name], provider.budget.seconds)
    assert await Budgets(stage.redis, Channels(stage.settings.redis_prefix)).spend(name, spent) > 0


@pytest.mark.parametrize("name", PROBED)
async def test_every_fault_of_a_probed_provider_is_a_provider_error(stage: Stage, name: str) -> None:
    """Whatever is wrong, its probe says so, and nothing but a ProviderError; afterwards it answers again."""
    for fault in FAULTS:
        provider = new_provider(name)
        stage.spoil(*hosts_of(provider), fault=fault)
        with pytest.raises(ProviderError) as caught:
            await provider.probe(stage.asker(provider, 3.0))
        assert (caught.value.provider, fault) == (name, fault)
        stage.heal(*hosts_of(provider))
        await stage.wait(3600.0)  # no block of the fault stands any longer
    await provider.probe(stage.asker(provider, 3.0))


async def test_one_who_hangs_is_given_up(stage: Stage) -> None:
    """A probe has a deadline."""
    provider = new_provider("coingecko")
    stage.spoil(COINGECKO, fault="hang")
    with pytest.raises(ProviderError, match="no answer within"):
        await provider.probe(stage.asker(provider, 0.2))


@pytest.mark.parametrize("name", [*UPSTREAMS, *NODES])
def test_probes_take_a_small_part_of_every_budget(name: str) -> None:
    """At most a fifth of what the provider allows, and something is always left; of CoinGecko's 25 calls, probes and
    market_data take 20 and four are left, or one where collectors have just asked so many."""
    provider = new_provider(name)
    budget, plan = provider.budget, plan_of(provider)
    assert 1 <= plan.reserve < budget.units
    assert plan.after >= 14.0
    if name == "coingecko":
        assert (budget, plan) == (Budget(25, 300.0), Plan(14.0, 4, insists=19.0))
    else:
        assert plan.after * budget.units / budget.seconds >= 5


def test_a_provider_is_due_when_nobody_called_it_lately() -> None:
    """After any outcome, and at once without a call."""
    plan = Plan(20.0, 1)
    assert plan.is_due(None, float("inf"))
    for call in (None, report(NOON), report(NOON, failures=9)):
        assert [plan.is_due(call, ago) for ago in (0, 19, 20, 99)] == [False, False, True, True]


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_the_clocks_of_callers_and_ours_may_be_set(ahead: float, stage: Stage) -> None:
    """The silence of a provider counts from when its report changed here, whatever time the report names."""
    steady, wall = Clock(), Clock()
    prober = Prober([], stage.fetcher, stage.context().reports, steady, wall)
    assert prober.silence("kraken", report(wall.now - 30)) == 30  # from before this process
    for _ in range(3):
        steady.now += 5
        wall.now += 5
        call = report(wall.now + ahead)
        assert 0 <= prober.silence("kraken", call) <= 5
        steady.now += 10
        wall.now += 10 + ahead
        silence = prober.silence("kraken", call)
        assert 10 <= silence <= 15
        wall.now -= 2 * ahead
        assert prober.silence("kraken", call) == silence
        wall.now += ahead
        assert prober.silence("kraken", report(wall.now)) == 0


def test_who_says_not_so_often_is_asked_less_and_less() -> None:
    """The pause doubles with each refusal, up to five minutes; a provider's own pause may be longer."""

    def pause(plan: Plan, failures: int) -> int:
        found = report(NOON, failures=failures, limited=True)
        return next(seconds for seconds in range(100_000) if plan.is_due(found, seconds))

    assert [pause(Plan(20.0, 1), failures) for failures in (1, 2, 3, 4, 5000)] == [40, 80, 160, 300, 300]
    assert pause(Plan(900.0, 1), 3) == 900


async def test_only_who_was_not_called_lately_is_probed(stage: Stage, worker: Worker, other: Worker) -> None:
    """What another process calls is left alone until it no longer does."""
    worker.probes("coingecko", "binance", "kraken")
    await other.asks("binance")
    await worker.look()
    assert stage.asked == {"coingecko": 1, "kraken": 1}
    await worker.look(10.0)
    assert stage.asked == {"coingecko": 1, "kraken": 1}
    await other.asks("kraken")
    await worker.look(5.0)
    assert stage.asked == {"coingecko": 2, "binance": 1, "kraken": 1}
    calls = await stage.context().reports.calls()
    assert {name: (call.at, call.failures) for name, call in calls.items()} == {
        "coingecko": (NOON + 15, 0),
        "binance": (NOON + 15, 0),
        "kraken": (NOON + 10, 0),
    }


async def test_a_probe_is_not_repeated_before_it_is_reported(stage: Stage, worker: Worker) -> None:
    """The process remembers its own probes: a report is up to a second late, and later while Redis is away."""
    prober = worker.probes("coingecko")
    for _ in range(3):
        async with asyncio.TaskGroup() as probes:
            await prober.look(probes)
    assert stage.asked["coingecko"] == 1


async def test_probes_never_starve_collectors(stage: Stage, worker: Worker, other: Worker) -> None:
    """However often the prober looks, four of CoinGecko's 25 calls are left, all that collectors want at once; that it
    is not asked is not told as a failure."""
    worker.probes("coingecko")
    for _ in range(22):
        await worker.look(14.0)  # for Redis, which counts, no time has passed
    assert stage.simulator.tally.by_host() == {COINGECKO: {"/api/v3/ping": 21}}
    await other.asks("coingecko", 4)
    assert stage.simulator.tally.by_host() == {COINGECKO: {"/api/v3/ping": 25}}
    call = (await stage.context().reports.calls())["coingecko"]
    assert (call.error, call.failures) == (None, 0)


async def test_collectors_come_first(stage: Stage, worker: Worker, other: Worker) -> None:
    """What they have spent they may need again; after 19 s nobody would know how it is, so that one unit left suffices,
    which is never taken."""
    worker.probes("coingecko")
    await other.asks("coingecko", 21)
    calls = []
    for later in (14.0, 5.0, 19.0, 19.0, 19.0):
        await worker.look(later)
        calls.append(stage.simulator.tally.by_host()[COINGECKO]["/api/v3/ping"])
    assert calls == [21, 22, 23, 24, 24]


async def test_who_told_us_to_wait_is_not_probed(stage: Stage, worker: Worker, other: Worker) -> None:
    """A Retry-After of any process holds for probes, and they don't count as failures."""
    worker.probes("coingecko")
    stage.spoil(COINGECKO, fault="429")
    await other.asks("coingecko")
    for _ in range(5):
        await worker.look(60.0)
    assert stage.simulator.tally.by_host() == {COINGECKO: {"/api/v3/ping": 1}}
    call = (await stage.context().reports.calls())["coingecko"]
    assert (call.failures, call.limited) == (1, True)


async def test_one_provider_is_probed_once_at_a_time_and_holds_up_nobody(stage: Stage, worker: Worker) -> None:
    """While one probe hangs, the others are made as often as ever."""
    prober = worker.probes("coingecko", "binance")
    stage.spoil(COINGECKO, fault="hang")

    async def looks() -> None:
        async with asyncio.TaskGroup() as probes:
            for number in range(1, 4):
                await prober.look(probes)
                await until(lambda number=number: stage.asked["binance"] == number)  # type: ignore[misc]
                await until(lambda: not prober.asking - {"coingecko"})
                stage.now += 30.0
            running.cancel()

    running = asyncio.create_task(looks())
    await asyncio.gather(running, return_exceptions=True)
    assert stage.asked == {"coingecko": 1, "binance": 3}
    assert not prober.asking


async def test_an_absent_redis_is_told_of_once(tmp_path_factory: pytest.TempPathFactory, stage: Stage) -> None:
    """Without Redis no provider is probed; outage and recovery are logged once each."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    redis = open_redis(Settings(_env_file=None, redis_url=server.url))
    prober = Prober([load_provider("binance")], stage, Reports(redis, Channels("test-probes")), lambda: stage.now)

    async def look() -> None:
        async with asyncio.TaskGroup() as probes:
            await prober.look(probes)

    try:
        server.kill()
        with capture_logs() as logs:
            await look()
            await look()
            assert not stage.asked
            server.start()
            await look()
            await look()
        assert stage.asked["binance"] == 1
        assert [entry["event"] for entry in logs] == ["providers are not probed", "providers are probed again"]
    finally:
        await redis.aclose()
        server.stop()


async def test_run_looks_until_it_is_cancelled(stage: Stage, worker: Worker) -> None:
    """It probes by itself, and leaves nothing behind."""
    prober = worker.probes("binance")
    running = asyncio.create_task(prober.run(0.01))
    await until(lambda: stage.asked["binance"] == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
    assert not prober.asking


def test_the_providers_are_those_of_all_services(stage: Stage) -> None:
    """Whatever worker runs them; nodes as configured, and keyed ones only with a key. Nothing is said, loaded or asked
    for it."""
    with capture_logs() as logs:
        found = sources_of(stage.context(model_folder=Path("/nowhere"), rpc_nodes=SecretStr("base/own=https://x.y")))
    names = {provider.name for providers in found.values() for provider in providers}
    assert names == {name for name in UPSTREAMS if not provider_class(name).needs_key} | {"base/own"}
    assert logs == []
    with_key = sources_of(stage.context(whale_alert_key=SecretStr("k" * 20)))
    assert "whale_alert" in {provider.name for provider in with_key["whale_tracking"]}
    assert set(with_key) & {"health_checker", "pool_manager", "scheduler", "persistence"} == set()
