"""Redis behind Sentinels and as a cluster: a primary dies for good under clients, and an address is the wrong kind."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.faults.cluster import FLOW, NAMES, PREFIX
from tests.faults.crowd import Crowd
from tests.faults.processes import Gateway, Publisher, folder_env, to
from tests.faults.report import Report
from tests.replicated import Nodes, Watched
from tests.waiting import until

SERVICES = ("market_data", "news", "persistence")
AnyServers = TypeVar("AnyServers", Watched, Nodes)
WITHIN = 5.0  # s from the new primary to live updates of every service


@asynccontextmanager
async def started(servers: AnyServers) -> AsyncIterator[AnyServers]:
    """These servers, until the block ends."""
    try:
        await servers.start()
        yield servers
    finally:
        servers.stop()


async def a_primary_dies(report: Report, folder: Path, url: str, fail_over: Callable[[], Awaitable[object]]) -> None:
    """A gateway, a publisher and clients; `fail_over` kills a primary, and returns when another has its place."""
    env = {"REDIS_URL": url, "REDIS_PREFIX": PREFIX, **folder_env(folder)}
    gateway, publisher = Gateway("gateway", env), Publisher(SERVICES, env)
    crowd = Crowd(SERVICES)
    try:
        await gateway.start()
        await gateway.ready()
        await publisher.start()
        await publisher.flows()
        crowd.add(20, to(gateway))
        crowd.start()
        await crowd.served(20)
        await crowd.flows(2 * FLOW)
        began = time.time()
        await fail_over()
        mended = time.time()
        for follower in crowd.followers:
            follower.live.clear()
        took = await crowd.fresh_since(mended, 40)
        report.back(took)
        await crowd.flows(2 * FLOW)
        report.figure(failover_s=round(mended - began, 1), publishes_failed=len(publisher.failed(began)))
        await publisher.end(signal.SIGTERM)
        publisher.write(crowd.book)
        await crowd.at_end(15)
        report.judge(crowd, may_lose=True)
        report.holds("replicated", took <= WITHIN, f"updates of every service {took:.1f} s after the new primary")
    except BaseException:
        print(gateway.tail, publisher.tail, sep="\n---\n")  # noqa: T201 - shown with the failure
        raise
    finally:
        await crowd.stop()
        await publisher.finish()
        await gateway.finish()


async def says(report: Report, folder: Path, url: str, word: str) -> None:
    """A gateway that is given a plain address of something else names what it found in one line."""
    gateway = Gateway("gateway", {"REDIS_URL": url, "REDIS_PREFIX": PREFIX, **folder_env(folder)})
    await gateway.start()
    try:
        await until(lambda: not gateway.runs or gateway.logged(word) > 0, 20)
        lines = [line for line in gateway.lines if word in line]
        report.holds("replicated", bool(lines), f"plain redis:// at a {word}: {lines[:1]}")
    finally:
        await gateway.finish()


@pytest.mark.long
@pytest.mark.fault("Sentinel: the primary dies for good")
async def test_a_primary_behind_sentinels_that_dies(report: Report, tmp_path: Path) -> None:
    """Updates of every service go on within 5 s of the promotion of a replica, and what it lost is told."""
    async with started(Watched(tmp_path)) as servers:

        async def fail_over() -> None:
            await asyncio.to_thread(servers.primary.kill)
            await servers.failed_over()

        await a_primary_dies(report, tmp_path, servers.url, fail_over)
        sentinel = servers.sentinels[0]
        await says(report, tmp_path, f"redis://:{sentinel.password}@127.0.0.1:{sentinel.port}/0", "Sentinel")


@pytest.mark.long
@pytest.mark.fault("Cluster: a primary dies for good")
async def test_a_primary_of_a_cluster_that_dies(report: Report, tmp_path: Path) -> None:
    """The same on a Redis Cluster, where services are on different nodes."""
    key = NAMES.meta(SERVICES[0])
    async with started(Nodes(tmp_path)) as nodes:

        async def fail_over() -> None:
            primary = await nodes.primary_of(key)
            await asyncio.to_thread(primary.kill)
            await nodes.failed_over(key, primary)

        await a_primary_dies(report, tmp_path, nodes.url, fail_over)
        node = next(member for member in nodes.members if member.process is not None)
        await says(report, tmp_path, node.url, "Cluster")
