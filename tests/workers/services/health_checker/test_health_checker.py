"""health_checker: what it makes of the calls of the whole cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.bus.reports import CallReport
from shared.catalog import SERVICES
from shared.errors import NoSourceError, ProviderError
from shared.payloads.health_checker import Health
from tests.workers.stage import NOON, Stage, is_node
from tests.workers.watching import Worker, open_worker
from workers.asking.provider import StatusError
from workers.providers import PROVIDERS, provider_class
from workers.services.health_checker.service import overall_health, status_of
from workers.services.rpc_nodes.nodes import DEFAULT_NODES
from workers.services.service import Resident

COINGECKO = "api.coingecko.com"
LOOK = 5.0
INTERVAL = SERVICES["health_checker"].interval


@pytest_asyncio.fixture
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """The monitoring process, with the service."""
    async with open_worker(stage) as worker:
        await worker.opens_health_checker()
        yield worker


@pytest_asyncio.fixture
async def other(stage: Stage) -> AsyncIterator[Worker]:
    """Another process, which collects."""
    async with open_worker(stage, "data_collection") as worker:
        yield worker


async def passes(worker: Worker, seconds: float) -> None:
    """Time goes by, and the prober looks every 5 s."""
    for _ in range(int(seconds / LOOK)):
        await worker.stage.wait(LOOK)
        await worker.look()


async def tells(worker: Worker, provider: str, *errors: ProviderError | None) -> None:
    """Calls of a provider went like this, as this process reports."""
    for error in errors:
        worker.reporter.called(provider, 0.1, error)
    await worker.reporter.report()


def call(error: str | None, failures: int, *, limited: bool = False) -> CallReport:
    return CallReport(at=NOON, milliseconds=1.0, error=error, failures=failures, limited=limited)


async def test_everybody_is_healthy_where_all_is_well(stage: Stage, worker: Worker) -> None:
    """Every provider that can be asked without a key is in the first update, though no collector runs."""
    await passes(worker, LOOK)
    found = await worker.health()
    assert found.overall_health == "healthy"
    keyless = [name for name in PROVIDERS if not (is_node(name) or provider_class(name).needs_key)]
    assert found.total_providers == found.healthy_count == len(worker.prober.plans)
    assert set(found.providers) == {*keyless, *(node.label for node in DEFAULT_NODES)}
    gecko = found.providers["coingecko"]
    assert (gecko.status, gecko.consecutive_failures, gecko.error) == ("healthy", 0, None)
    assert gecko.last_check == "2026-11-23T12:00:05.000Z"
    assert gecko.response_time_ms is not None
    assert gecko.response_time_ms > 0
    assert {"ethereum/publicnode", "solana/solana", "esplora", "huggingface"} <= set(found.providers)


async def test_a_stopped_coingecko_shows_within_two_intervals_and_so_does_its_return(
    stage: Stage, worker: Worker
) -> None:
    """Whether or not a collector asks it just then."""
    await passes(worker, INTERVAL)
    assert (await worker.health()).providers["coingecko"].status == "healthy"
    stage.spoil(COINGECKO, fault="refuse")
    await passes(worker, INTERVAL)
    found = await worker.health()
    assert found.providers["coingecko"].status == "degraded"
    assert found.providers["coingecko"].error == "connection: RemoteProtocolError"
    assert (found.overall_health, found.degraded_count) == ("degraded", 1)
    await passes(worker, INTERVAL)
    found = await worker.health()
    assert (found.providers["coingecko"].status, found.unhealthy_count) == ("unhealthy", 1)
    assert found.overall_health == "degraded"
    stage.heal(COINGECKO)
    await passes(worker, INTERVAL)
    found = await worker.health()
    assert (found.providers["coingecko"].status, found.overall_health) == ("healthy", "healthy")


async def test_failures_add_up_over_processes(worker: Worker, other: Worker) -> None:
    """Consecutive failures count for the whole cluster; one success of any worker resets them."""
    failure = ProviderError("kraken", "HTTP 500")
    await tells(worker, "kraken", failure)
    await tells(other, "kraken", failure)
    kraken = (await worker.health()).providers["kraken"]
    assert (kraken.status, kraken.consecutive_failures) == ("degraded", 2)
    await tells(worker, "kraken", failure)
    kraken = (await worker.health()).providers["kraken"]
    assert (kraken.status, kraken.consecutive_failures, kraken.error) == ("unhealthy", 3, "HTTP 500")
    await tells(other, "kraken", None)
    kraken = (await worker.health()).providers["kraken"]
    assert (kraken.status, kraken.consecutive_failures, kraken.error) == ("healthy", 0, None)


async def test_who_says_not_so_often_is_degraded_however_often_it_does(worker: Worker) -> None:
    """Limited is not down: it answers, and is not asked as often any more."""
    await tells(worker, "kraken", *[StatusError("kraken", status) for status in (429, 418, 403, 429)])
    kraken = (await worker.health()).providers["kraken"]
    assert (kraken.status, kraken.consecutive_failures, kraken.error) == ("degraded", 4, "HTTP 429")


async def test_what_nobody_has_called_is_left_out(worker: Worker) -> None:
    """A provider is left out before its first call; without any call there is no update."""
    with pytest.raises(NoSourceError):
        await worker.health()
    await tells(worker, "kraken", None)
    assert set((await worker.health()).providers) == {"kraken"}


async def test_a_provider_that_is_not_configured_is_left_out(worker: Worker) -> None:
    """What an earlier configuration left in Redis is not shown: a node that was removed, a key taken back."""
    await tells(worker, "ethereum/removed", ProviderError("ethereum/removed", "HTTP 500"))
    await tells(worker, "whale_alert", None)
    await tells(worker, "kraken", None)
    assert set((await worker.health()).providers) == {"kraken"}


async def test_old_calls_are_not_believed(stage: Stage, worker: Worker) -> None:
    """Calls from before a stop of the cluster do not count, except one whose pause still lasts."""
    await tells(worker, "kraken", None)
    await tells(worker, "binance", StatusError("binance", 418))
    await tells(worker, "coinmarketcap", None)
    stage.now += 600.0
    assert set((await worker.health()).providers) == {"binance", "coinmarketcap"}


async def test_only_probes_are_sent(stage: Stage, worker: Worker) -> None:
    """The monitoring worker collects nothing: CoinGecko is pinged, and has no source pool of its own here."""
    await passes(worker, 60.0)
    assert set(stage.simulator.tally.by_host()[COINGECKO]) == {"/api/v3/ping"}
    assert set(stage.simulator.tally.by_host()["api.coinpaprika.com"]) == {"/v1/global"}
    assert stage.service.pools == ()
    assert isinstance(stage.service, Resident)


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (call(None, 0), "healthy"),
        (call("HTTP 500", 1), "degraded"),
        (call("HTTP 500", 2), "degraded"),
        (call("HTTP 500", 3), "unhealthy"),
        (call("HTTP 429", 1, limited=True), "degraded"),
        (call("HTTP 429", 99, limited=True), "degraded"),
    ],
)
def test_the_status_of_a_provider(report: CallReport, status: Health) -> None:
    """One or two failures in a row degrade, three make unhealthy, limits never do."""
    assert status_of(report) == status


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("hhhhhh", "healthy"),
        ("hhhhhd", "degraded"),
        ("hhhhhu", "degraded"),
        ("dddddd", "degraded"),
        ("hhuhhu", "degraded"),
        ("uhuhhu", "unhealthy"),  # half of them
        ("uuhhhh", "unhealthy"),  # all of a service
        ("duhhhh", "degraded"),
        ("uuuuuu", "unhealthy"),
    ],
)
def test_overall_health(statuses: str, expected: Health) -> None:
    """Half of the providers, or all of one service, make the whole unhealthy; any that is not well degrades it."""
    names: dict[str, Health] = {"h": "healthy", "d": "degraded", "u": "unhealthy"}
    by_name = {f"p{number}": names[status] for number, status in enumerate(statuses)}
    services = {"one": ["p0", "p1"], "two": ["p2", "p3", "p4", "p5"], "none": []}
    assert overall_health(by_name, services) == expected


def test_a_service_is_not_given_up_while_one_of_its_providers_was_never_called() -> None:
    """It may be well."""
    statuses: dict[str, Health] = {"p0": "unhealthy", "p2": "healthy", "p3": "healthy"}
    assert overall_health(statuses, {"one": ["p0", "p1"], "two": ["p2", "p3"]}) == "degraded"
