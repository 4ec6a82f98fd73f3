"""Replicated servers: a subscriber hears every update once, in order, through failovers and moved slots."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from shared.bus import Bus, Position, open_redis
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

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.confirmed: dict[str, list[Position]] = {service: [] for service in SERVICES}
        self.failed = 0
        self.ends = False

    async def run(self) -> None:
        """Publish until `ends`."""
        n = 0
        while not self.ends:
            n += 1
            for service in SERVICES:
                try:
                    self.confirmed[service].append(await self._bus.publish(service, {"n": n}))
                except BusError:
                    self.failed += 1
            await asyncio.sleep(0)


async def goes_through(url: str, trouble: Callable[[], Awaitable[object]]) -> tuple[Flow, Listener]:
    """Updates flow through a trouble, and for a moment after all services are live again."""
    async with (
        client_of(url) as ours,
        client_of(url) as theirs,
        Listener(theirs, NAMES, SERVICES) as listener,
    ):
        await listener.proven()
        flow = Flow(Bus(ours, NAMES, 100_000))
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
    for service in SERVICES:
        heard = positions(listener, service)
        assert set(flow.confirmed[service]) <= set(heard)
        assert len(heard) == len(set(heard))
        assert in_order(heard)


async def test_a_failover_of_sentinels_loses_nothing_silently(watched: Watched) -> None:
    """The primary is killed while updates flow; those that it had not passed on begin a new epoch, or were heard."""

    async def trouble() -> None:
        watched.primary.kill()
        await watched.failed_over()

    flow, listener = await goes_through(watched.url, trouble)
    for service in SERVICES:
        heard = positions(listener, service)
        assert set(flow.confirmed[service]) <= set(heard)
        assert len(heard) == len(set(heard))
        assert in_order(heard)


def in_order(heard: list[Position]) -> bool:
    """Whether each epoch is heard from one place on, without a hole, and is not returned to."""
    for before, after in itertools.pairwise(heard):
        if after.epoch == before.epoch and after.seq != before.seq + 1:
            return False
        if after.epoch != before.epoch and after.seq != 1:
            return False
    epochs = [position.epoch for position in heard]
    return sum(one != other for one, other in itertools.pairwise(epochs)) == len(set(epochs)) - 1
