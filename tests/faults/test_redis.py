"""Redis that dies, hangs, forgets, or loses its connections, under clients that stay, leave and come back."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.faults.cluster import FLOW, Cluster, lasts
from tests.faults.crowd import recovery
from tests.faults.follower import Follower
from tests.faults.processes import to
from tests.faults.report import Report, of
from tests.faults.servers import Server
from tests.proxy import Proxy

Fault = Callable[[Cluster], Awaitable[None]]

LEAVE_AFTER = 0.7  # s into the fault


async def withstand(
    report: Report, folder: Path, fault: Fault, *, new_epochs: bool = False, seconds: float = 40.0
) -> None:
    """Forty clients stay. Ten lose their connection during the fault and come back at once, elsewhere. Ten lose it just
    before, and come back when all is well again, with the position that they had."""
    async with Cluster(folder) as cluster:
        one, other = cluster.gateways
        await cluster.publish()
        cluster.crowd.add(20, to(one, other))
        cluster.crowd.add(20, to(other, one))
        returning = cluster.crowd.add(10, to(other, one))
        absent = cluster.crowd.add(10, to(one, other))
        present = [follower for follower in cluster.crowd.followers if follower not in absent]
        await cluster.crowd.served()
        await cluster.crowd.flows(2 * FLOW)
        before = cluster.positions()
        for follower in absent:
            follower.gate.clear()
            follower.leave()
        await cluster.crowd.wait(lambda follower: follower.connection is None, 5, absent)

        began = time.time()
        leaving = asyncio.create_task(_leave(returning))
        await fault(cluster)
        mended = time.time()
        await leaving
        await cluster.crowd.fresh_since(mended, seconds, present)
        for follower in absent:
            follower.gate.set()
        await cluster.crowd.served(10, absent)
        await cluster.crowd.flows(2 * FLOW)

        after = cluster.positions()
        changed = sorted(service for service in after if after[service][0] != before[service][0])
        lives = [status for gateway in cluster.gateways for _, status in cluster.health.live(gateway, began)]
        dark = recovery(present, began, mended)
        report.back(max(dark["live_again_max_s"], 0.0))
        report.figure(
            **dark,
            fault_s=round(mended - began, 2),
            publishes_failed=dict(Counter(cluster.publisher.failed(began))),
            ready_changes={gateway.name: cluster.health.ready(gateway, began) for gateway in cluster.gateways},
            reconnects=[await gateway.metric("coinwire_bus_reconnects_total") for gateway in cluster.gateways],
            new_epochs=changed,
        )
        await cluster.finish()
        report.judge(cluster.crowd, may_lose=new_epochs)
        report.figure(returning=of(cluster.crowd, returning), absent=of(cluster.crowd, absent))
        report.holds("heals", True, f"live again {dark['live_again_max_s']} s after the fault ended")
        report.holds("ready", not lives, f"/health/live changed: {lives}")
        expected = sorted(cluster.services) if new_epochs else []
        report.holds("epoch", changed == expected, f"{len(changed)} of {len(cluster.services)} services began an epoch")
        if new_epochs:
            told = cluster.crowd.counts(absent).unproven
            asked = len(absent) * len(cluster.services)
            report.holds("told", told == asked, f"{told} of {asked} positions of the old epoch were answered false")


async def _leave(who: list[Follower]) -> None:
    await lasts(LEAVE_AFTER)
    for follower in who:
        follower.leave()


@pytest.mark.fault("kill -9 of Redis, back after 2 s with its data")
async def test_redis_killed(report: Report, tmp_path: Path) -> None:
    """Redis that is killed and comes back with its data costs no update, and no service begins a new epoch."""

    async def fault(cluster: Cluster) -> None:
        cluster.redis.kill()
        await lasts(2)
        await cluster.redis.up()

    await withstand(report, tmp_path, fault)


@pytest.mark.fault("kill -9 of Redis, back after 2 s without data")
async def test_redis_killed_and_empty(report: Report, tmp_path: Path) -> None:
    """After Redis has lost everything each service begins a new epoch, and every client is told or led there."""

    async def fault(cluster: Cluster) -> None:
        cluster.redis.kill()
        cluster.redis.empty()
        await lasts(2)
        await cluster.redis.up()

    await withstand(report, tmp_path, fault, new_epochs=True)


@pytest.mark.fault("SIGSTOP of Redis for 10 s")
async def test_redis_suspended(report: Report, tmp_path: Path) -> None:
    """Redis that hangs for 10 s costs no update."""

    async def fault(cluster: Cluster) -> None:
        cluster.redis.signal(signal.SIGSTOP)
        await lasts(10)
        cluster.redis.signal(signal.SIGCONT)

    await withstand(report, tmp_path, fault)


@pytest.mark.fault("FLUSHALL")
async def test_redis_flushed(report: Report, tmp_path: Path) -> None:
    """FLUSHALL begins a new epoch of each service, and every client is told or led there."""

    async def fault(cluster: Cluster) -> None:
        cluster.redis.tell("FLUSHALL")

    await withstand(report, tmp_path, fault, new_epochs=True)


@pytest.mark.fault("CLIENT KILL TYPE pubsub")
async def test_subscribers_killed(report: Report, tmp_path: Path) -> None:
    """Subscriptions that Redis ends cost no update."""

    async def fault(cluster: Cluster) -> None:
        cluster.redis.cut_subscribers()

    await withstand(report, tmp_path, fault)


@pytest.mark.fault("CLIENT KILL TYPE pubsub, twelve times in 3 s")
async def test_subscribers_killed_again_and_again(report: Report, tmp_path: Path) -> None:
    """Nor do subscriptions that Redis ends while they are being made."""

    async def fault(cluster: Cluster) -> None:
        for pause in (0.25, 0.5, *(0.2 for _ in range(10))):
            cluster.redis.cut_subscribers()
            await lasts(pause)

    await withstand(report, tmp_path, fault)


@pytest.mark.fault("kill -9 of Redis, back without its last 2 s of writes")
async def test_redis_killed_and_older(report: Report, tmp_path: Path) -> None:
    """After Redis has lost its last writes each service begins a new epoch, and no position is given twice."""

    async def fault(cluster: Cluster) -> None:
        cluster.redis.keep_copy()
        await lasts(2)
        cluster.redis.kill()
        cluster.redis.back_to_copy()
        await lasts(1)
        await cluster.redis.up()

    await withstand(report, tmp_path, fault, new_epochs=True)


@pytest.mark.fault("failover to a replica that lags 2 s, address moves")
async def test_a_failover_to_a_replica_that_lags(report: Report, tmp_path: Path) -> None:
    """After a failover that lost writes each service begins a new epoch, and no position is given twice."""
    replicas: list[Server] = []

    async def fault(cluster: Cluster) -> None:
        async with Proxy(cluster.redis.port) as link:
            replica = Server(tmp_path / "replica", cluster.redis.password)
            replicas.append(await replica.up())
            await replica.follows(link.port)
            await cluster.crowd.flows(FLOW, who=[f for f in cluster.crowd.followers if f.gate.is_set()])
            link.hold()
            await lasts(2)
            cluster.redis.kill()
        replica.tell("REPLICAOF", "NO", "ONE")
        for line in (*(gateway.line for gateway in cluster.gateways), cluster.publisher.line):
            line.move(replica.port)
            line.cut()
        cluster.redis.port = replica.port  # the one that is asked from now on

    try:
        await withstand(report, tmp_path, fault, new_epochs=True)
    finally:
        for replica in replicas:
            replica.end()


@pytest.mark.fault("a gateway's connections to Redis die unseen (NAT)")
async def test_connections_to_redis_that_die_unseen(report: Report, tmp_path: Path) -> None:
    """A gateway whose connections to Redis pass nothing any more makes new ones, and misses no update. It does not
    send a client backwards meanwhile."""

    async def fault(cluster: Cluster) -> None:
        cluster.gateways[0].line.deaden()

    await withstand(report, tmp_path, fault)


@pytest.mark.fault("FIN on a gateway's connections to Redis, each way")
async def test_connections_to_redis_that_are_half_closed(report: Report, tmp_path: Path) -> None:
    """A gateway whose connections to Redis are half-closed, seen by itself alone or by Redis alone, misses nothing."""

    async def fault(cluster: Cluster) -> None:
        line = cluster.gateways[0].line
        line.half_close(towards_target=False)
        await lasts(1.5)
        line.half_close(towards_target=True)

    await withstand(report, tmp_path, fault)


@pytest.mark.fault("a publisher's connections reset, 20 times in 10 s")
async def test_a_publisher_whose_connections_are_reset(report: Report, tmp_path: Path) -> None:
    """A publisher whose connections are reset may lose an update, but no position, and begins no epoch."""

    async def fault(cluster: Cluster) -> None:
        for _ in range(20):
            cluster.publisher.line.cut()
            await lasts(0.5)

    await withstand(report, tmp_path, fault)
