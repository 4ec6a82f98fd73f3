"""The recorder and its database, killed under a stream of updates."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.database import open_database
from shared.settings import Settings
from tests.database import new_postgres
from tests.faults.cluster import FLOW, Cluster, lasts
from tests.faults.crowd import share
from tests.faults.processes import to
from tests.faults.report import Report
from tests.postgres import PostgresServer
from tests.waiting import until

RECORDING = "recording"


async def positions_in(url: str, service: str) -> list[tuple[str, int]]:
    """Of every record of a service."""
    database = open_database(Settings(_env_file=None, database_url=SecretStr(url)))
    try:
        return [(record.epoch, record.seq) for record in await database.page(service, limit=100_000)]
    finally:
        await database.aclose()


async def record_through_kills(report: Report, folder: Path, url: str, server: PostgresServer | None = None) -> None:
    """The recorder is killed three times, and then its database, where it is a server."""
    env = {"DATABASE_URL": url, "LEASE_SECONDS": "2", "HISTORY_LENGTH": "10000"}
    async with Cluster(folder, 1, rate=100.0, env=env) as cluster:
        (gateway,) = cluster.gateways
        (recorder,) = await cluster.workers(1, "integration")
        await recorder.logs(RECORDING, 1)
        await cluster.publish()
        followers = cluster.crowd.add(10, to(gateway))
        await cluster.crowd.served()
        await cluster.crowd.flows(4 * FLOW)
        for _ in range(3):
            told = recorder.logged(RECORDING)
            await recorder.end(signal.SIGKILL)
            await recorder.start()
            await recorder.logs(RECORDING, told + 1)
            await cluster.crowd.flows(4 * FLOW)
        if server is not None:
            server.stop("immediate")
            await lasts(10)
            report.figure(history_meanwhile=await gateway.status("/api/v1/history/market_data"))
            ready = await gateway.status("/health/ready")
            report.holds("ready", ready == 200, f"{ready} without a database")
            server.start()
        late = share([when for follower in followers for when in follower.late], 0.99)
        await cluster.finish()
        report.judge(cluster.crowd)
        published, stopped = cluster.positions(), time.time()
        recorded: dict[str, list[tuple[str, int]]] = {}

        async def everything() -> bool:
            for service in cluster.services:
                recorded[service] = await positions_in(url, service)
            return all(len(recorded[service]) >= published[service][1] for service in cluster.services)

        await until(everything, 30)
        report.back(time.time() - stopped)
        report.figure(lateness_p99_ms=round(late * 1000))
        for service, rows in recorded.items():
            saw = f"{service}: {published[service][1]:,} published, {len(rows):,} rows, {len(set(rows)):,} distinct"
            report.holds("recorded", published[service][1] == len(rows) == len(set(rows)), saw)


@pytest.mark.fault("kill -9 of the recorder (SQLite), three times")
async def test_a_recorder_that_is_killed(report: Report, tmp_path: Path) -> None:
    """A recorder that is killed under 200 updates a second has every update in the database once."""
    await record_through_kills(report, tmp_path, f"sqlite:///{tmp_path}/history.db")


@pytest.mark.fault("the same on PostgreSQL, which then dies for 10 s")
async def test_a_recorder_and_a_database_that_are_killed(report: Report, tmp_path: Path) -> None:
    """So it has on PostgreSQL, though the server is killed and away for 10 s; clients and gateways do not notice."""
    with new_postgres() as server:
        await record_through_kills(report, tmp_path, server.new_database(), server)
