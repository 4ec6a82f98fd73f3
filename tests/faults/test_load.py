"""Clients that do not read, read too slowly, or come back all at once, beside some that behave."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.cluster import FLOW, Cluster, lasts
from tests.faults.connection import Connection, connect
from tests.faults.crowd import share
from tests.faults.follower import Follower, Habits
from tests.faults.processes import Gateway, Witness, to
from tests.faults.report import Report, words
from tests.waiting import until

SMALL = 4096  # bytes that the kernel reads ahead
DEAF, RETURNING = 1000, 2000


def ignore(_: bytes) -> None:
    """A client that does not care."""


async def closed_as_slow(gateway: Gateway) -> float:
    """How many clients were closed with 4008 so far."""
    return await gateway.metric("coinwire_gateway_closed_total", 'reason="slow"')


@pytest.mark.long
@pytest.mark.fault("1,000 clients never read, 4 KiB updates")
async def test_clients_that_never_read(report: Report, tmp_path: Path) -> None:
    """A thousand clients that never read are closed with 4008 within 50 s, cost less than 512 MiB meanwhile, and delay
    nobody by more than 500 ms."""
    async with Cluster(tmp_path, 1, rate=10.0, size=4096) as cluster:
        (gateway,) = cluster.gateways
        await cluster.publish()
        cluster.crowd.add(20, to(gateway))
        witness = await cluster.begin(Witness(gateway.port, cluster.services))
        await cluster.crowd.served()
        await cluster.crowd.flows(2 * FLOW)
        before = gateway.memory
        deaf: list[Connection] = []
        for _ in range(DEAF):
            connection = await connect(gateway.port, "/ws", ignore, window=SMALL)
            for service in cluster.services:
                connection.say(action="subscribe", service=service)
            connection.stop_reading()
            deaf.append(connection)
        began, peak = time.time(), 0.0

        async def all_closed() -> bool:
            nonlocal peak
            peak = max(peak, gateway.memory)
            return await closed_as_slow(gateway) >= DEAF

        await until(all_closed, 50)
        closed = time.time() - began
        late = witness.late(began)
        report.figure(memory_before_mib=round(before), memory_peak_mib=round(peak), all_closed_after_s=round(closed, 1))
        for connection in deaf:
            connection.transport.abort()
        await cluster.finish()
        report.judge(cluster.crowd)
        report.holds("bounded", peak - before < 512, f"{peak - before:.0f} MiB more for {DEAF:,} clients")
        report.holds("stalled", closed < 50, f"all closed with 4008 after {closed:.0f} s")
        report.holds("isolation", max(late) < 0.5, f"others at most {max(late) * 1000:.0f} ms late")


@pytest.mark.long
@pytest.mark.fault("10 clients read a quarter of what comes")
async def test_clients_that_read_too_slowly(report: Report, tmp_path: Path) -> None:
    """What a client reads that takes a quarter of its updates and wants the latest is at most 5 s old; what was left
    out is counted, and others are not late."""
    async with Cluster(tmp_path, 1, size=4096) as cluster:
        (gateway,) = cluster.gateways
        await cluster.publish()
        healthy = cluster.crowd.add(10, to(gateway))
        slow = cluster.crowd.add(10, to(gateway), Habits(window=SMALL, deliver="latest"))
        await cluster.crowd.served()
        for follower in cluster.crowd.followers:
            follower.late_max = 0.0
        began, age = time.time(), 0.0
        while time.time() - began < 40:  # about 40 kB/s each: what the small window holds, ten times a second
            await _sip(slow)
            age = max(age, *(follower.late_max for follower in slow))
        late = round(max(follower.late_max for follower in healthy) * 1000)
        closed = await closed_as_slow(gateway)
        report.figure(closes=dict(Counter(code for follower in slow for _, code in follower.closes)))
        for follower in slow:
            if follower.connection is not None:
                follower.connection.read_on()
        await cluster.finish()
        counts = report.judge(cluster.crowd, may_lose=True)
        report.seen = words(counts, "left out")
        report.holds("conflates", counts.told > 0, f"{counts.told:,} updates left out and counted")
        report.holds("isolation", late < 1000, f"others at most {late} ms late")
        report.holds(
            "conflates", age < 5, f"what a slow client reads is up to {age:.0f} s old, {closed:g} closed with 4008"
        )


async def _sip(followers: list[Follower]) -> None:
    connections = [follower.connection for follower in followers if follower.connection is not None]
    for connection in connections:
        connection.stop_reading()
    await lasts(0.1)
    for connection in connections:
        if connection.open:
            connection.read_on()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@pytest.mark.long
@pytest.mark.fault("a client stops reading on a quiet service")
async def test_a_client_that_stops_reading_on_a_quiet_service(report: Report, tmp_path: Path) -> None:
    """A client that takes nothing is closed with 4008 within 15 s of the first update that it can't take, also where
    an update comes every 5 s only."""
    async with Cluster(tmp_path, 1, rate=0.2, size=8192, services=("market_data",)) as cluster:
        (gateway,) = cluster.gateways
        await cluster.publish()
        connection = await connect(gateway.port, "/ws/market_data", ignore, window=SMALL)
        connection.stop_reading()
        began = time.time()

        async def gone() -> bool:
            return await gateway.metric("coinwire_gateway_connections") == 0

        await until(gone, 50)
        took, closed = time.time() - began, await closed_as_slow(gateway)
        connection.transport.abort()
        report.seen = "close 4008"
        report.figure(gone_after_s=round(took, 1))
        report.holds("stalled", closed == 1 and took < 15, f"gone after {took:.0f} s, {closed:g} times with 4008")


@pytest.mark.long
@pytest.mark.fault("2,000 clients come back at once, twice")
async def test_two_thousand_clients_that_come_back_at_once(report: Report, tmp_path: Path) -> None:
    """Two thousand clients that come back at once, after 15 missed updates and after 200, get each once; that costs a
    few reads of the stream, and delays others by less than 500 ms."""
    # Straight, because this process drives two thousand clients: updates through its proxies would be late in them.
    async with Cluster(tmp_path, 1, rate=10.0, size=1024, services=("market_data",), straight=True) as cluster:
        (gateway,) = cluster.gateways
        await cluster.publish()
        witness = await cluster.begin(Witness(gateway.port, cluster.services))
        many: list[Follower] = []
        while len(many) < RETURNING:
            many += cluster.crowd.add(200, to(gateway), Habits(pause=(0.0, 1.0)))
            await cluster.crowd.served(30)
        for away in (1.5, 20.0):
            await cluster.crowd.flows(30)
            for follower in many:
                follower.gate.clear()
                follower.leave()
            await lasts(away)
            reads, cpu, began = cluster.redis.calls("xrange"), gateway.cpu, time.time()
            for follower in many:
                follower.gate.set()
            report.back(await cluster.crowd.served(50, many))
            busy = gateway.cpu - cpu
            await cluster.crowd.flows(10)
            late, reads = witness.late(began), cluster.redis.calls("xrange") - reads
            report.figure(
                **{
                    f"away_{away:g}_s": {
                        "gateway_cpu_s": round(busy, 2),
                        "others_p99_ms": round(share(late, 0.99) * 1000),
                        "memory_mib": round(gateway.memory),
                    }
                }
            )
            report.holds("share", reads < 20, f"{reads} reads of the stream for 2,000 clients")
            slowest = max(late)
            report.holds(
                "isolation", slowest < 0.5, f"after {away:g} s away: others at most {slowest * 1000:.0f} ms late"
            )
        await cluster.finish()
        report.judge(cluster.crowd)
