"""Epochs (ADR 2): one goes on only if it is proven that no seq was given out twice."""

from __future__ import annotations

import contextlib
import random
from typing import NamedTuple

import pytest
from redis.asyncio import Redis

from shared.bus import Bus, Position, began
from shared.bus.lease import Lease
from shared.catalog import MONITORING
from shared.channels import Channels
from shared.errors import FencedError
from tests.shared.listening import SERVICE
from tests.shared.outage import Clock

OTHER = "0" * 40  # what a server that took over calls itself

Publish = tuple[str, int]
"""Who publishes, with which fence."""


class Case(NamedTuple):
    """Updates, how many of them another server has, and who publishes there first."""

    before: list[Publish]
    kept: int
    after: Publish
    goes_on: bool
    service: str = SERVICE


A, B = ("a", 0), ("b", 0)
CASES = {
    # Without leases: the only publisher there is remembers everything.
    "one publisher, nothing lost": Case([A, A], 2, A, True),
    "one publisher, its last update lost": Case([A, A], 1, A, False),
    "one publisher, all lost": Case([A, A], 0, A, False),
    "a second publisher begins": Case([A, A], 2, B, False),
    "two publishers, nothing lost": Case([A, B, A], 3, A, False),
    "two publishers, the last updates of the other one lost": Case([A, B, A, B, B], 3, A, False),
    "two publishers, the last one's own updates lost": Case([A, B, B], 2, B, False),
    # Under a lease: another fence is another lease, in between which somebody else may have had it.
    "an unbroken lease, nothing lost": Case([("a", 5), ("a", 5)], 2, ("a", 5), True),
    "an unbroken lease, an update lost": Case([("a", 5), ("a", 5)], 1, ("a", 5), False),
    "the lease ran out, and is had again": Case([("a", 5), ("a", 5)], 2, ("a", 6), False),
    "a takeover, nothing lost": Case([("a", 5), ("b", 6)], 2, ("b", 6), True),
    "a takeover, the successor's updates lost": Case([("a", 5), ("b", 6), ("b", 6)], 1, ("b", 6), False),
    "a takeover lost, and the lease had again": Case([("a", 5), ("b", 6), ("b", 6)], 1, ("a", 7), False),
    "a takeover after the restart": Case([("a", 5), ("a", 5)], 2, ("b", 6), False),
    # Shared by all workers, without a lease.
    "system, one publisher, nothing lost": Case([A, A], 2, A, False, "system"),
    "system, two publishers, nothing lost": Case([A, B], 2, B, False, "system"),
}


class Keys:
    """The keys of a service and of a lease, which can be set back."""

    def __init__(self, redis: Redis, channels: Channels, service: str) -> None:
        self._redis = redis
        self._names = [channels.meta(service), channels.stream(service), channels.last(service)]
        self._names += [channels.lease(MONITORING), channels.fence(MONITORING)]
        self._meta = self._names[0]
        self._copies: list[bytes | None] = [None] * len(self._names)

    async def keep(self) -> None:
        """Remember them as they are."""
        self._copies = [await self._redis.dump(name) for name in self._names]

    async def set_back(self) -> None:
        """Lose all writes since then."""
        await self._redis.delete(*self._names)
        for name, copy in zip(self._names, self._copies, strict=True):
            if copy is not None:
                await self._redis.restore(name, 0, copy)  # type: ignore[no-untyped-call]

    async def move(self, field: str) -> None:
        """Make it look as if the newest update was published on another server."""
        if await self._redis.hexists(self._meta, field):
            await self._redis.hset(self._meta, field, OTHER)


async def publish(redis: Redis, channels: Channels, case: Case, moved: str | None) -> tuple[list[Position], Position]:
    """Go through a case: the positions before, and the one after."""
    buses = {name: Bus(redis, channels, 10) for name in "ab"}
    keys = Keys(redis, channels, case.service)
    before = []
    for n, (name, fence) in enumerate(case.before):
        if n == case.kept:
            await keys.keep()
        before.append(await buses[name].publish(case.service, {"n": n}, fence=fence))
    if case.kept < len(case.before):
        await keys.set_back()
    if moved:
        await keys.move(moved)
    name, fence = case.after
    return before, await buses[name].publish(case.service, {"n": "after"}, fence=fence)


@pytest.mark.parametrize("moved", ["run_id", "replid"], ids=["restarted", "failed over"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_on_another_server_an_epoch_goes_on_only_if_proven(
    redis: Redis, channels: Channels, case: Case, moved: str
) -> None:
    """Only the last publisher can know that nothing is missing, if nobody can have published after it."""
    before, after = await publish(redis, channels, case, moved)
    if case.goes_on:
        assert after == Position(before[-1].epoch, len(before) + 1)
    else:
        assert after.epoch not in {position.epoch for position in before}
        assert after.seq == 1


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.kept == len(case.before)], ids=repr)
async def test_on_the_same_server_an_epoch_goes_on(redis: Redis, channels: Channels, case: Case) -> None:
    """Whoever publishes: nothing is lost while a server runs and stays the primary."""
    before, after = await publish(redis, channels, case, None)
    assert after == Position(before[0].epoch, len(before) + 1)


async def test_an_epoch_of_an_older_version_goes_on(redis: Redis, channels: Channels) -> None:
    """During an upgrade, workers of both versions publish: what the other one does not know costs no epoch."""
    bus = Bus(redis, channels, 10)
    before = await bus.publish(SERVICE, {"n": 1})
    await redis.hdel(channels.meta(SERVICE), "publishers", "replid", "recent", "published_at")
    after = await Bus(redis, channels, 10).publish(SERVICE, {"n": 2})
    assert after == Position(before.epoch, 2)


async def test_what_an_older_version_published_last_is_not_vouched_for(redis: Redis, channels: Channels) -> None:
    """It counts as another publisher, although it is not among those that are remembered."""
    bus, meta = Bus(redis, channels, 10), channels.meta(SERVICE)
    before = await bus.publish(SERVICE, {"n": 1})
    await redis.hset(meta, mapping={"seq": 2, "publisher": "older", "run_id": OTHER})  # it knows no `publishers`
    await redis.xadd(channels.stream(SERVICE), {"m": b"of the older version"}, id="2-0")
    assert (await bus.publish(SERVICE, {"n": 3})).epoch != before.epoch


async def test_an_update_of_a_lease_that_has_run_out_is_not_vouched_for(redis: Redis, channels: Channels) -> None:
    """A cycle may end after its lease: somebody else may have had it since, on a server that forgot it."""
    clock = Clock()
    lease = Lease(redis, channels, MONITORING, 3, clock)
    bus = Bus(redis, channels, 10, held=lambda: lease.fence)
    fence = await lease.refresh()
    before = [await bus.publish("scheduler", {"n": n}, fence=fence) for n in range(2)]
    keys = Keys(redis, channels, "scheduler")
    await keys.move("run_id")
    assert await bus.publish("scheduler", {"n": 2}, fence=fence) == Position(before[0].epoch, 3)
    clock.now += 4
    await keys.move("run_id")
    assert (await bus.publish("scheduler", {"n": 3}, fence=fence)).epoch != before[0].epoch


async def test_an_epoch_is_named_by_the_time_of_its_begin(redis: Redis, channels: Channels) -> None:
    """By the clock of Redis. A later epoch has a later name, also after that clock was set back."""
    seconds, _ = await redis.time()
    name = (await Bus(redis, channels, 10).publish(SERVICE, {})).epoch
    begin = began(name)
    assert begin is not None
    assert seconds <= begin <= seconds + 60
    later = f"{round((begin + 3600) * 1_000_000):014x}{name[14:]}"
    await redis.hset(channels.meta(SERVICE), mapping={"epoch": later, "run_id": OTHER})
    after = (await Bus(redis, channels, 10).publish(SERVICE, {})).epoch
    assert later < after
    assert began(after) == pytest.approx(begin + 3600, abs=0.001)


@pytest.mark.parametrize(
    "before", ["", "5f2b9c81d04e7a63", "z" * 30, "é" * 15], ids=["empty", "older", "letters", "foreign"]
)
async def test_an_epoch_that_names_no_time_is_followed_by_one_that_does(
    redis: Redis, channels: Channels, before: str
) -> None:
    """Older versions gave epochs other names, and others may write to Redis, too."""
    await Bus(redis, channels, 10).publish(SERVICE, {})
    await redis.hset(channels.meta(SERVICE), mapping={"epoch": before, "run_id": OTHER})
    assert began((await Bus(redis, channels, 10).publish(SERVICE, {})).epoch) is not None


async def test_no_position_is_given_to_two_updates(redis: Redis, channels: Channels) -> None:
    """Whatever workers and Redis go through: takeovers, lapses, restarts, lost writes, updates that come late."""
    for seed in range(120):
        walk = Walk(random.Random(seed), redis, Channels(f"{channels.prefix}-{seed}"))
        given: dict[Position, int] = {}
        for n in range(60):
            position = await walk.step(n)
            if position is not None:
                assert given.setdefault(position, n) == n, f"seed {seed}: {walk.steps}"


class Walk:
    """Three workers and a Redis to which things happen at random."""

    SERVICE = "scheduler"

    def __init__(self, chance: random.Random, redis: Redis, channels: Channels) -> None:
        self._chance = chance
        self._redis = redis
        self._channels = channels
        self._clock = Clock()
        self._keys = Keys(redis, channels, self.SERVICE)
        self._kept_at = float("-inf")
        self._workers = [self._worker() for _ in range(3)]
        self._fences = [0, 0, 0]
        self.steps: list[object] = []

    def _worker(self) -> tuple[Lease, Bus]:
        lease = Lease(self._redis, self._channels, MONITORING, 3, self._clock)
        return lease, Bus(self._redis, self._channels, 20, held=lambda: lease.fence)

    async def step(self, n: int) -> Position | None:
        """Something happens. Returns the position of update `n` if that was published."""
        steps = {"publish": 30, "publish late": 6, "renew": 20, "lapse": 5, "keep": 8, "lose": 4, "move": 4, "die": 3}
        step = self._chance.choices(list(steps), list(steps.values()))[0]
        which = self._chance.randrange(3)
        lease, bus = self._workers[which]
        self.steps.append((step, which))
        match step:
            case "publish" | "publish late":
                fence = lease.fence if step == "publish" else self._fences[which]
                if fence:
                    self._fences[which] = fence
                    with contextlib.suppress(FencedError):
                        return await bus.publish(self.SERVICE, {"n": n}, fence=fence)
            case "renew":
                await lease.refresh()
            case "lapse":
                self._clock.now += 3.1
                await self._redis.delete(self._channels.lease(MONITORING))
            case "keep":
                await self._keys.keep()
                self._kept_at = self._clock.now
            case "lose":
                await self._keys.set_back()
                # A server whose clock is behind may still name a holder whose lease has run out.
                if self._clock.now - self._kept_at > 3 and self._chance.random() < 0.8:
                    await self._redis.delete(self._channels.lease(MONITORING))
                self._clock.now += self._chance.choice([0.5, 4])
                await self._keys.move("run_id")
            case "move":
                await self._keys.move("run_id")
            case "die":
                self._workers[which] = self._worker()
        return None
