"""Gateways that are killed, stopped, drained and replaced under clients that come back."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from shared.catalog import CHANNEL_NAMES
from tests.faults.cluster import FLOW, Cluster, lasts
from tests.faults.crowd import recovery, share
from tests.faults.follower import Habits
from tests.faults.processes import Witness, to
from tests.faults.report import Report


@pytest.mark.fault("kill -9 of one of two gateways")
async def test_a_gateway_killed(report: Report, tmp_path: Path) -> None:
    """kill -9 of one of two gateways costs its clients a reconnect to the other, and nothing else."""
    async with Cluster(tmp_path) as cluster:
        one, other = cluster.gateways
        await cluster.publish()
        moved = cluster.crowd.add(100, to(one, other))
        stayed = cluster.crowd.add(100, to(other, one))
        await cluster.crowd.served()
        await cluster.crowd.flows(2 * FLOW)
        killed = time.time()
        await one.end(signal.SIGKILL)
        report.back(await cluster.crowd.wait(lambda follower: follower.connects >= 2 and follower.served, 20, moved))
        await one.start()
        await one.ready()
        await cluster.crowd.flows(FLOW)
        await cluster.finish()
        late = round(max(follower.late_max for follower in stayed) * 1000)
        report.figure(**recovery(moved, killed, killed), others_late_max_ms=late)
        counts = report.judge(cluster.crowd)
        report.holds("replica", counts.complete, f"live again after {report.recovered:.2f} s")


@pytest.mark.fault("kill -9 of the only gateway, started again")
async def test_a_gateway_killed_and_started_again(report: Report, tmp_path: Path) -> None:
    """A gateway that starts takes clients only when it has its histories: every recovery is answered with true, though
    thirteen full histories must be read."""
    async with Cluster(tmp_path, 1, services=("market_data", "persistence")) as cluster:
        (gateway,) = cluster.gateways
        await cluster.fill(CHANNEL_NAMES)
        await gateway.end(signal.SIGKILL)
        await gateway.start()
        report.figure(ready_after_start_s=round(await gateway.ready(), 2))
        await cluster.publish()
        cluster.crowd.add(100, to(gateway), Habits(pause=(0.05, 0.2)))
        await cluster.crowd.served()
        await cluster.crowd.flows(2 * FLOW)
        killed = time.time()
        await gateway.end(signal.SIGKILL)
        await gateway.start()
        report.back(await cluster.crowd.wait(lambda follower: follower.connects >= 2 and follower.served, 60))
        await cluster.crowd.flows(FLOW)
        report.figure(ready_changes=cluster.health.ready(gateway, killed))
        await cluster.finish()
        counts = report.judge(cluster.crowd)
        answers = counts.unproven + counts.recovered
        report.holds("replica", not counts.unproven, f"{counts.unproven} of {answers} recoveries were answered false")


@pytest.mark.fault("SIGTERM of one of two gateways, 500 clients")
async def test_a_gateway_that_drains(report: Report, tmp_path: Path) -> None:
    """A gateway that is asked to stop is not ready first, tells its clients, closes them with 1012 over DRAIN_SECONDS,
    and exits with 0."""
    async with Cluster(tmp_path, rate=5.0, env={"DRAIN_SECONDS": "5"}) as cluster:
        gateway, other = cluster.gateways
        await cluster.publish()
        moved = cluster.crowd.add(500, to(gateway, other), Habits(notices=True))
        witness = await cluster.begin(Witness(other.port, cluster.services))
        await cluster.crowd.served(30)
        await cluster.crowd.flows(FLOW // 2)
        cpu, asked = other.cpu, time.time()
        status = await gateway.end(signal.SIGTERM)
        exited = time.time() - asked
        back = await cluster.crowd.wait(lambda follower: follower.connects >= 2 and follower.served, 40, moved)
        report.back(exited + back)
        closes = [follower.closes[0] for follower in moved]
        first, last = (pick(at for at, _ in closes) - asked for pick in (min, max))
        codes = Counter(code for _, code in closes)
        told = sum(any(event == "gateway_stopping" for _, event in follower.notices) for follower in moved)
        red = [at for at, code in cluster.health.ready(gateway, asked) if code == 503]
        late = round(max(witness.late(asked)) * 1000)
        report.figure(others_late_max_ms=late, other_gateway_cpu_s=round(other.cpu - cpu, 2), first_close_s=first)
        await cluster.finish()
        report.judge(cluster.crowd)
        report.holds("drain", bool(red) and red[0] < first, f"not ready after {red[:1]} s, first close {first:.2f} s")
        report.holds("drain", told == len(moved), f"{told} of {len(moved)} got a notice")
        report.holds("drain", set(codes) == {"1012"}, f"close codes {dict(codes)}")
        report.holds("drain", last - first > 1.0, f"all closed within {(last - first) * 1000:.0f} ms")
        report.holds("drain", status == 0 and exited < 20, f"exit status {status} after {exited:.1f} s")


@pytest.mark.fault("SIGTERM of a gateway that Redis does not answer")
async def test_a_gateway_that_stops_while_redis_is_away(report: Report, tmp_path: Path) -> None:
    """A gateway stops in order within 15 s also while Redis is a black hole."""
    async with Cluster(tmp_path, 1) as cluster:
        (gateway,) = cluster.gateways
        await cluster.publish()
        followers = cluster.crowd.add(20, to(gateway))
        await cluster.crowd.served()
        gateway.line.hold()
        await lasts(2)
        asked = time.time()
        status = await gateway.end(signal.SIGTERM)
        took = time.time() - asked
        codes = Counter(code for follower in followers for _, code in follower.closes)
        report.seen = "closes with 1012"
        report.holds("drain", set(codes) == {"1012"}, f"close codes {dict(codes)}")
        report.holds("drain", status == 0 and took < 15, f"exit status {status} after {took:.1f} s")


@pytest.mark.fault("two gateways restarted one by one, 500 clients")
async def test_a_rolling_restart(report: Report, tmp_path: Path) -> None:
    """A rolling restart of two gateways loses nothing for clients that recover."""
    async with Cluster(tmp_path, rate=5.0) as cluster:
        one, other = cluster.gateways
        await cluster.publish()
        cluster.crowd.add(250, to(one, other))
        cluster.crowd.add(250, to(other, one))
        await cluster.crowd.served(30)
        await cluster.crowd.flows(FLOW // 2)
        began = time.time()
        for gateway in cluster.gateways:
            status = await gateway.end(signal.SIGTERM)
            await gateway.start()
            await gateway.ready()
            report.back(await cluster.crowd.served(30))
            await cluster.crowd.flows(FLOW // 2)
            report.holds("rolling", status == 0, f"{gateway.name} exited with {status}")
        late = [when for follower in cluster.crowd.followers for when in follower.late]
        report.figure(**recovery(cluster.crowd.followers, began, began), lateness_p99_s=round(share(late, 0.99), 3))
        await cluster.finish()
        report.judge(cluster.crowd)


@pytest.mark.fault("SIGSTOP of one of two gateways for 15 s")
async def test_a_gateway_that_is_suspended(report: Report, tmp_path: Path) -> None:
    """A gateway that is stopped for 15 s repairs what it missed when it goes on; those who gave it up lose nothing
    either."""
    async with Cluster(tmp_path) as cluster:
        one, other = cluster.gateways
        await cluster.publish()
        hurried = Habits(silence=6.0)
        cluster.crowd.add(20, to(one, other), hurried)
        cluster.crowd.add(20, to(other, one), hurried)
        patient = cluster.crowd.add(20, to(one))
        await cluster.crowd.served()
        await cluster.crowd.flows(FLOW)
        one.signal(signal.SIGSTOP)
        stopped = time.time()
        await lasts(15)
        one.signal(signal.SIGCONT)
        mended = time.time()
        report.back(await cluster.crowd.fresh_since(mended, 20))
        await cluster.crowd.flows(2 * FLOW)
        report.figure(**recovery(patient, stopped, mended))
        await cluster.finish()
        report.judge(cluster.crowd)
