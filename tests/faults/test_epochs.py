"""Several publishers of one service, and a Redis that loses the last updates of one of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from shared.bus import Bus, Position
from shared.errors import BusError
from tests.faults.cluster import Cluster, lasts
from tests.faults.processes import to
from tests.faults.report import Report
from tests.waiting import until

ON_DISK = 1.2  # s, with `appendfsync everysec`
LOST = (4, 5, 6)


@pytest.mark.fault("Redis loses the last updates of one of two writers")
async def test_two_writers_of_one_service(report: Report, tmp_path: Path) -> None:
    """`system` has a writer in every worker. If Redis loses the last updates of one, no position is given to another
    update, and whatever is confirmed afterwards reaches clients."""
    async with Cluster(tmp_path, 1, services=("system",)) as cluster:
        (follower,) = cluster.crowd.add(1, to(cluster.gateways[0]))
        first, second = cluster.bus(), cluster.bus()

        async def publish(bus: Bus, number: int) -> Position:
            position = await bus.publish("system", {"n": number, "at": time.time()})
            cluster.crowd.book.note("system", position.epoch, position.seq, number)
            return position

        async def gets(count: int, seconds: float) -> None:
            await cluster.crowd.wait(lambda follower: follower.counts.delivered >= count, seconds)

        await publish(first, 1)
        await gets(1, 10)
        await publish(second, 2)
        await publish(first, 3)
        await lasts(ON_DISK)
        cluster.redis.keep_copy()
        lost = [await publish(second, number) for number in LOST]
        await gets(6, 5)
        cluster.redis.kill()
        cluster.redis.back_to_copy()
        await cluster.redis.up()
        again: list[Position] = []

        async def published() -> bool:
            try:
                again.append(await publish(first, 7 + len(again)))
            except BusError:
                return False
            return len(again) == 2

        await until(published, 10)
        confirmed = time.time()
        await gets(8, 10)
        report.back(time.time() - confirmed)
        report.figure(lost=lost, published_after=again)
        twice = [position for position in again if position in lost]
        report.judge(cluster.crowd)
        report.holds("epoch", not twice, f"{len(twice)} positions that clients had seen were given to other updates")
        delivered = follower.counts.delivered
        report.holds("once", delivered == 8, f"{8 - delivered} of 2 confirmed updates never reached a client")
