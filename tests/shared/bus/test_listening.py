"""Replicated servers: a subscriber hears all once and in order through failovers and moved slots, or is told of a loss.

Redis replicates asynchronously: what a primary confirmed right before its death may be lost, and is told then
(docs/explanation/delivery.md). What enough replicas had is not lost.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from shared.bus import Bus, Gap, Position, open_redis
from shared.channels import Channels
from shared.errors import BusError
from tests.replicated import LIVE_SECONDS, Nodes, Watched, needs_cluster, settings_of
from tests.shared.listening import Listener
from tests.waiting import until

pytestmark = pytest.mark.slow

NAMES = Channels("test")
SERVICES = ("news", "market_data", "system")


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[Redis]:
    """A client as every coinwire process opens it."""
    client = open_redis(settings_of(url))
    try:
        yield client
    finally:
        await client.aclose()


class Flow:
    """Publishes numbered updates of every service, one after another, and remembers what was confirmed."""

    def __init__(self, redis: Redis, replicas: int = 0) -> None:
        self._bus = Bus(redis, NAMES, 100_000, replicas=replicas, on_unreplicated=self._note)
        self._unreplicated: set[str] = set()
        self.confirmed: dict[str, list[Position]] = {service: [] for service in SERVICES}
        self.replicated: dict[str, list[Position]] = {service: [] for service in SERVICES}
        """Those of them that all replicas had by then that were waited for."""
        self.failed = 0
        self.ends = False

    async def run(self) -> None:
        """Publish until `ends`."""
        n = 0
        while not self.ends:
            n += 1
            await asyncio.gather(*(self._publish(service, n) for service in SERVICES))

    async def _publish(self, service: str, n: int) -> None:
        self._unreplicated.discard(service)
        try:
            position = await self._bus.publish(service, {"n": n})
        except BusError:
            self.failed += 1
            await asyncio.sleep(0)
            return
        self.confirmed[service].append(position)
        if service not in self._unreplicated:
            self.replicated[service].append(position)

    def _note(self, service: str) -> None:
        self._unreplicated.add(service)


async def goes_through(
    url: str, trouble: Callable[[], Awaitable[object]], *, replicas: int = 0
) -> tuple[Flow, Listener]:
    """Updates flow through a trouble, and for a moment after all services are live again."""
    async with (
        client_of(url) as ours,
        client_of(url) as theirs,
        Listener(theirs, NAMES, SERVICES) as listener,
    ):
        await listener.proven()
        flow = Flow(ours, replicas)
        flowing = asyncio.create_task(flow.run())

        async def live() -> None:
            """Wait for an update of each service that is published from now on."""
            before = {service: len(positions) for service, positions in flow.confirmed.items()}
            await until(lambda: all(len(flow.confirmed[each]) > before[each] for each in SERVICES), LIVE_SECONDS)
            wanted = {(each, flow.confirmed[each][-1]) for each in SERVICES}
            await until(lambda: wanted <= heard_by(listener), LIVE_SECONDS)

        try:
            await live()
            await trouble()
            await live()
            await listener.proven(LIVE_SECONDS)
        finally:
            flow.ends = True
            await flowing
        last = {(each, flow.confirmed[each][-1]) for each in SERVICES}
        await until(lambda: last <= heard_by(listener))
    return flow, listener


def heard_by(listener: Listener) -> set[tuple[str, Position]]:
    """The newest updates that were heard."""
    return {(each.service, Position(each.epoch, each.seq)) for each in listener.heard[-5000:]}


def gaps(listener: Listener, service: str) -> list[Gap | None]:
    """What was told to be lost before each update of a service."""
    return [gap for each, gap in zip(listener.heard, listener.gaps, strict=True) if each.service == service]


def positions(listener: Listener, service: str) -> list[Position]:
    """What was heard of a service, in order."""
    return [Position(each.epoch, each.seq) for each in listener.heard if each.service == service]


@needs_cluster
async def test_slots_that_move_lose_and_repeat_nothing(nodes: Nodes) -> None:
    """While updates flow, the slot of a service moves to another node and back."""

    async def trouble() -> None:
        key = NAMES.meta("news")
        owner = await nodes.primary_of(key)
        await nodes.move_slot(key, next(member for member in nodes.members[:3] if member is not owner))
        await nodes.move_slot(key, owner)

    flow, listener = await goes_through(nodes.url, trouble)
    assert flow.failed == 0
    for service in SERVICES:
        assert positions(listener, service) == flow.confirmed[service]


@needs_cluster
async def test_a_killed_primary_of_a_cluster_loses_nothing_silently(nodes: Nodes) -> None:
    """Every confirmed update is heard once, in order, and all services are live within five seconds."""

    async def trouble() -> None:
        was = await nodes.primary_of(NAMES.meta("news"))
        was.kill()
        await nodes.failed_over(NAMES.meta("news"), was)

    flow, listener = await goes_through(nodes.url, trouble)
    assert_told(flow, listener)


async def test_a_failover_of_sentinels_loses_nothing_silently(watched: Watched) -> None:
    """The primary is killed while updates flow; those that it had not passed on were heard, or a new epoch begins."""

    async def trouble() -> None:
        watched.primary.kill()
        await watched.failed_over()

    flow, listener = await goes_through(watched.url, trouble)
    assert_told(flow, listener)


async def test_a_failover_of_sentinels_loses_nothing_that_the_replicas_had(watched: Watched) -> None:
    """With PUBLISH_REPLICAS, what was confirmed by as many is heard, whichever of them becomes the primary."""

    async def trouble() -> None:
        watched.primary.kill()
        await watched.failed_over()

    flow, listener = await goes_through(watched.url, trouble, replicas=2)
    assert_told(flow, listener)
    for service in SERVICES:
        assert len(flow.replicated[service]) > 1
        assert not set(flow.replicated[service]) - set(positions(listener, service))


def assert_told(flow: Flow, listener: Listener) -> None:
    """Each update of a service is heard once and in order, and what is missing is told by what comes after it."""
    for service in SERVICES:
        heard = list(zip(positions(listener, service), gaps(listener, service), strict=True))
        epochs = list(dict.fromkeys(position.epoch for position, _ in heard))
        for (before, _), (after, gap) in itertools.pairwise(heard):
            follows = before.seq + 1 if after.epoch == before.epoch else 1
            assert after.seq == (follows if gap is None else gap.last + 1), (service, before, after, gap)
            assert gap is None or gap.first == follows, (service, before, after, gap)
            assert epochs.index(after.epoch) - epochs.index(before.epoch) in (0, 1), (service, before, after)
        # What was not heard of an epoch that is not the last one, the next one tells.
        last = [position for position in flow.confirmed[service] if position.epoch == epochs[-1]]
        told = {Position(position.epoch, n) for position, gap in heard if gap for n in range(gap.first, gap.last + 1)}
        assert set(last) <= told | {position for position, _ in heard}, service
