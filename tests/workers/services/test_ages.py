"""What every service says of the age of its figures: `as_of` names its sources, and no figure outlives its bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest
from pydantic import SecretStr

from shared.bus.lease import Lease
from shared.bus.reports import CallReport, JobReport, JobsReport, PoolReport, PoolsReport, SourceReport
from shared.catalog import SERVICES
from shared.channels import Channels
from shared.timestamps import iso
from tests.workers.services.test_figures import ASKED_ANEW, figures_of
from tests.workers.stage import NOON, Stage, hosts_of
from workers.asking.provider import Provider
from workers.services.market_data.service import EXCHANGES, LISTS

KEYS = {"reddit_client_id": SecretStr("k" * 10), "reddit_client_secret": SecretStr("k" * 10)}


def named(data: dict[str, Any]) -> list[str]:
    """The sources that a payload names."""
    if "nodes" in data:
        return [node["name"] for node in data["nodes"] if node["status"] != "down"]
    sources: list[str] = data["sources"] if "sources" in data else data["source"].split(", ")
    return sources


@pytest.mark.parametrize("service", [name for name, spec in SERVICES.items() if spec.category == "data_collection"])
async def test_as_of_names_the_sources_of_the_update_and_no_other(stage: Stage, service: str) -> None:
    """Each with a moment that is past, and not older than the oldest bound; also once a source has failed.

    Sources whose prices were only compared are named by the spread of prices, and have their moment, too.
    """
    opened = stage.open(service)
    for _ in range(2):
        data = msgspec.to_builtins(await stage.collect(60.0))
        compared = set(data["as_of"]) & {f"{name} (simulated)" for name in EXCHANGES if "price_spread_bps" in data}
        assert set(data["as_of"]) - compared == set(named(data)) - compared
        assert set(named(data)) <= set(data["as_of"])
        assert len(data["as_of"]) > 0
        assert all(iso(NOON - 3 * 86_400) < moment <= data["timestamp"] for moment in data["as_of"].values())
        first = next(iter(data["as_of"])).removesuffix(" (simulated)")
        for pool in opened.pools:
            stage.spoil(*(host for s in pool.sources if s.provider.name == first for host in hosts_of(s.provider)))


async def test_as_of_of_a_registry_is_the_time_at_which_it_was_read(stage: Stage) -> None:
    """A list that is published again has the moment of its reading, not that of the update."""
    stage.open("huggingface")
    first = await stage.collect()
    again = await stage.collect(60.0)
    assert first.as_of == again.as_of == {first.sources[0]: iso(NOON)}


async def test_monitoring_names_whom_it_has_read(stage: Stage) -> None:
    """health_checker and pool_manager the providers with their last calls, scheduler the workers' categories."""
    reports = stage.context().reports
    lease = Lease(stage.redis, Channels(stage.settings.redis_prefix), "data_collection", 60.0)
    await lease.refresh()
    pool = PoolReport(
        name="p",
        active="coingecko",
        sources=(SourceReport(name="coingecko", available=True), SourceReport(name="kraken", available=True)),
    )
    job = JobReport(
        id="j",
        service="news",
        interval=60.0,
        status="waiting",
        next_run=None,
        last_run=None,
        last_duration=None,
        failures=0,
    )
    await reports.write(
        calls={"coingecko": CallReport(at=NOON - 7, milliseconds=1.0, error=None)},
        failed={},
        pools={"market_data": PoolsReport(worker=lease.owner, category="data_collection", at=NOON, pools=(pool,))},
        failovers={},
        jobs={"data_collection": JobsReport(worker=lease.owner, at=NOON - 1, jobs=(job,))},
    )
    found = {}
    for service in ("health_checker", "pool_manager", "scheduler"):
        stage.open(service)
        found[service] = (await stage.collect()).as_of
    call = {"coingecko": iso(NOON - 7)}
    assert found == {"health_checker": call, "pool_manager": call, "scheduler": {"data_collection": iso(NOON - 1)}}


class Run(NamedTuple):
    """A service some of whose sources fail, while others keep it publishing."""

    service: str
    failing: tuple[str, ...]
    """Providers; a chain stands for all of its nodes."""


EXPLORERS = ("mempool", "esplora", "blockchair", "blockchain_com", "blockscout")
RUNS = (
    Run("market_data", LISTS),
    Run("market_data", EXCHANGES),
    Run("explorers", EXPLORERS),
    Run("explorers", ("ethereum", "etherscan")),
    Run("onchain", (*EXPLORERS[2:], "coinmetrics")),
    Run("onchain", ("ethereum", "solana", "defillama", "blockchain_com")),
    Run("sentiment", ("alternative_me", "coinmarketcap")),
    Run("sentiment", ("coingecko", "reddit")),
)
ALL_FAIL = {"market_data": {"prices.*", "price_changes.*"}}
"""Figures that every source of the service can give: without them nothing is published at all."""
OTHER_TESTS = {"news", "huggingface"}
"""Services with one pool: without it nothing is published. Their own tests let its answers grow old."""


def covered(run: Run, pools: dict[str, list[str]]) -> dict[str, float]:
    """The figures that no source is left for, and after how many seconds they must be null."""
    failing = {name for members in pools.values() for name in members if name.partition("/")[0] in run.failing}
    return {
        path: max(bound.longest for bound in bounds)
        for path, bounds in figures_of(run.service).items()
        if all(set(pools[bound.pool]) <= failing for bound in bounds)
    }


def values(data: Any, path: str) -> Iterator[Any]:
    """What a payload has at a path of the reference; nothing where a part is null or missing."""
    head, _, rest = path.partition(".")
    name = head.removesuffix("[]")
    found = list(data.values()) if name == "*" else [data.get(name)] if isinstance(data, dict) else []
    for value in found:
        for item in value if head.endswith("[]") else (value,):
            if item is not None and rest:
                yield from values(item, rest)
            elif item is not None:
                yield item


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.service}-{run.failing[0]}")
@pytest.mark.slow
async def test_every_figure_is_null_once_its_bound_has_passed(stage: Stage, run: Run) -> None:
    """At half of it the last answer still counts; and a second after it, nothing of it is left."""
    service = stage.open(run.service, **KEYS)
    providers: list[Provider] = [source.provider for pool in service.pools for source in pool.sources]
    bounds = covered(run, {pool.name: [s.provider.name for s in pool.sources] for pool in service.pools})
    assert bounds
    for _ in range(5):  # a source that was too slow at first is asked again
        data = msgspec.to_builtins(await stage.collect(10.0))
        if all(list(values(data, path)) for path in bounds):
            break
    stage.spoil(*{host for p in providers if p.name.partition("/")[0] in run.failing for host in hosts_of(p)})
    passed = 0.0
    for age in sorted({longest * 0.5 for longest in bounds.values()} | {longest + 1 for longest in bounds.values()}):
        data = msgspec.to_builtins(await stage.collect(age - passed))
        passed = age
        for path, longest in bounds.items():
            if age <= longest * 0.5:
                assert any(True for _ in values(data, path)), f"{path} is null after {age:g} s"
            elif age > longest:
                assert not list(values(data, path)), f"{path} is published after {age:g} s"


def test_no_figure_is_left_out(stage: Stage) -> None:
    """Of all that have a bound."""
    for service in sorted(set(SERVICES) - ASKED_ANEW - OTHER_TESTS):
        pools = {pool.name: [s.provider.name for s in pool.sources] for pool in stage.open(service, **KEYS).pools}
        tested = {path for run in RUNS if run.service == service for path in covered(run, pools)}
        assert set(figures_of(service)) - tested == ALL_FAIL.get(service, set())


async def test_an_explorer_whose_statistics_have_stopped_counts_as_failed(stage: Stage) -> None:
    """It answers as ever, and names the time of its figures: once that is too old, they are null, not old."""
    stage.open("explorers")
    stage.leave_behind(7200.0 - 60)
    data = await stage.collect()
    assert data.transactions_count is not None
    assert data.as_of["blockchain_com (simulated)"] == iso(NOON)
    stage.open("explorers")
    stage.leave_behind(120.0)
    data = await stage.collect()
    assert data.transactions_count is None
    assert not {"blockchain_com (simulated)", "blockchair (simulated)"} & set(data.as_of)


@pytest.mark.parametrize("service", ["explorers", "onchain"])
async def test_a_chart_that_has_stopped_is_no_count_of_the_last_day(stage: Stage, service: str) -> None:
    """Blockscout's newest day may be two days ago; a day earlier, the next explorer is asked, and refused if as old."""
    stage.open(service)
    stage.leave_behind(36 * 3600.0)
    data = await stage.collect()
    assert data.as_of["blockscout (simulated)"] == iso(NOON - 36 * 3600.0)
    stage.open(service)
    stage.leave_behind(3600.0)
    data = await stage.collect()
    assert not {"blockscout (simulated)", "blockchair (simulated)"} & set(data.as_of)
