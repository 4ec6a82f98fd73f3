"""Clients' links that are cut, held, half-closed, forgotten and slow."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.cluster import FLOW, Cluster, lasts
from tests.faults.crowd import recovery, share
from tests.faults.follower import Habits
from tests.faults.processes import to
from tests.faults.report import Report
from tests.waiting import until

DROPS, CUT = 10, 2.0


async def cut_links(report: Report, folder: Path, gateways: int) -> None:
    """All links are cut for two seconds, again and again; clients come back to the next gateway."""
    async with Cluster(folder, gateways) as cluster:
        await cluster.publish()
        for place in range(50):
            turned = cluster.gateways[place % gateways :] + cluster.gateways[: place % gateways]
            cluster.crowd.add(1, to(*turned, door=True))
        await cluster.crowd.served()
        for _ in range(DROPS):
            await cluster.crowd.flows(2 * FLOW)
            for gateway in cluster.gateways:
                gateway.door.cut(refuse=True)
            await lasts(CUT)
            for gateway in cluster.gateways:
                gateway.door.heal()
            report.back(await cluster.crowd.served(10))
        await cluster.crowd.flows(FLOW)
        await cluster.finish()
        report.judge(cluster.crowd)


@pytest.mark.long
@pytest.mark.fault("links cut for 2 s, ten times, one gateway")
async def test_links_that_are_cut(report: Report, tmp_path: Path) -> None:
    """Fifty clients whose links are cut for 2 s, ten times in a minute, get every update once."""
    await cut_links(report, tmp_path, 1)


@pytest.mark.fault("links cut for 2 s, ten times, two gateways")
async def test_links_that_are_cut_before_another_gateway(report: Report, tmp_path: Path) -> None:
    """So do clients that come back to another gateway each time."""
    await cut_links(report, tmp_path, 2)


@pytest.mark.fault("links that pass nothing for 2 s, and for 15 s")
async def test_links_that_pass_nothing(report: Report, tmp_path: Path) -> None:
    """A link that passes nothing for 2 s, or for 15 s, without being closed, costs no update: what was under way comes
    later, and who gives such a link up recovers."""
    async with Cluster(tmp_path) as cluster:
        await cluster.publish()
        hurried = Habits(silence=6.0)
        cluster.crowd.add(25, to(*cluster.gateways, door=True), hurried)
        cluster.crowd.add(25, to(cluster.gateways[0], door=True), hurried)
        await cluster.crowd.served()
        door = cluster.gateways[0].door
        for seconds in (2.0, 2.0, 2.0, 15.0):
            await cluster.crowd.flows(FLOW)
            began = time.time()
            door.hold()
            await lasts(seconds)
            door.heal()
            mended = time.time()
            report.back(await cluster.crowd.served(15))
        await cluster.crowd.flows(FLOW)
        report.figure(**recovery(cluster.crowd.followers, began, mended))
        await cluster.finish()
        report.judge(cluster.crowd)


@pytest.mark.fault("FIN unseen by the client; 200 ms of delay; a NAT that forgets")
async def test_links_that_end_unseen(report: Report, tmp_path: Path) -> None:
    """A gateway closes links whose client has sent a FIN or does not answer pings; their clients recover. A slow link
    delays updates by its own delay."""
    async with Cluster(tmp_path, 1, env={"WS_PING_INTERVAL": "5", "WS_PING_TIMEOUT": "5"}) as cluster:
        await cluster.publish()
        (gateway,) = cluster.gateways
        followers = cluster.crowd.add(20, to(gateway, door=True), Habits(silence=6.0))
        await cluster.crowd.served()
        gateway.door.half_close(towards_target=True)
        await cluster.crowd.wait(lambda follower: follower.connects == 2, 12)
        await cluster.crowd.served(10)

        gateway.door.delay(0.2)
        await cluster.crowd.flows(FLOW)
        await cluster.crowd.flows(2 * FLOW)
        late = share([follower.late[-1] for follower in followers], 0.5)
        report.figure(lateness_with_200_ms_p50_s=round(late, 3))
        gateway.door.heal()
        await cluster.crowd.flows(FLOW)

        dead = time.time()
        gateway.door.deaden()
        await cluster.crowd.wait(lambda follower: follower.connects == 3, 20)

        async def only_the_living() -> bool:
            return await gateway.metric("coinwire_gateway_connections") <= len(followers)

        # No pong; where buffers on the way still took bytes, once they are full: the kernel makes them as large as
        # what clients recovered before, and 40 updates a second take a minute or more to fill them.
        await until(only_the_living, 300)
        report.figure(dead_links_closed_after_s=round(time.time() - dead, 1))
        report.back(await cluster.crowd.served(10))
        await cluster.finish()
        report.judge(cluster.crowd)
