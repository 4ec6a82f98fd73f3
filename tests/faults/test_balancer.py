"""Gateways that are replaced behind the project's balancer, as deploy/roll.sh does it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from launcher.ports import free_port
from shared.catalog import CHANNEL_NAMES
from tests.faults.balancer import Balancer, Names, find_haproxy
from tests.faults.cluster import FLOW, Cluster
from tests.faults.follower import Follower, Habits
from tests.faults.processes import Gateway
from tests.faults.report import Report, of
from tests.faults.watching import get
from tests.waiting import until


async def roam(followers: list[Follower]) -> None:
    """Each of them loses its connection once a second."""
    while True:
        for follower in followers:
            await asyncio.sleep(1 / len(followers))
            follower.leave()


@pytest.mark.fault("two gateways replaced behind the balancer")
async def test_gateways_replaced_behind_the_balancer(report: Report, tmp_path: Path) -> None:
    """While gateways are replaced one by one, clients of the balancer lose nothing, not even those that lose their
    link every second and may come to a gateway that has just started."""
    find_haproxy()
    env = {"DRAIN_SECONDS": "5"}
    async with Cluster(tmp_path, 0, services=("market_data", "persistence"), rate=5.0, env=env) as cluster:
        await cluster.fill(CHANNEL_NAMES)
        names, port = await Names().start(), free_port()

        async def one_more(number: int) -> Gateway:
            host = f"127.0.0.{10 + number}"
            gateway = await cluster.begin(Gateway(f"gateway {number}", cluster.env, host=host, port=port))
            names.addresses.append(host)  # Docker names a container as soon as it runs
            return gateway

        old = [await one_more(number) for number in range(2)]
        for gateway in old:
            await gateway.ready()
        balancer = Balancer(tmp_path, names, port)
        try:
            await balancer.start()

            async def serves() -> bool:
                return (await get(balancer.port, "/health/ready"))[0] == 200

            await until(serves, 20)
            await cluster.publish()
            staying = cluster.crowd.add(200, lambda _: balancer.port)
            roaming = cluster.crowd.add(40, lambda _: balancer.port, Habits(pause=(0.05, 0.5)))
            await cluster.crowd.served(20)
            await cluster.crowd.flows(FLOW // 2)
            roams = asyncio.create_task(roam(roaming))
            for number, gateway in enumerate(old):
                await (await one_more(2 + number)).ready()
                await gateway.end(signal.SIGTERM)
                names.addresses.remove(gateway.host)
                await cluster.crowd.flows(FLOW // 2)
            roams.cancel()
            report.back(await cluster.crowd.served(15))
            await cluster.finish()
            report.figure(staying=of(cluster.crowd, staying), roaming=of(cluster.crowd, roaming))
            counts = report.judge(cluster.crowd)
            report.holds("rolling", not counts.unproven, f"recovered: false {counts.unproven} times")
        finally:
            await balancer.end(signal.SIGKILL)
            names.transport.close()
