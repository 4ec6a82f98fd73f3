"""Presence: who is connected to which gateway, for the whole cluster, in Redis. A dead gateway expires from it.

Every gateway writes its own clients, in batches, and reads the counts of the others. Gateways never call each other.
A Redis that refuses writes is still read, and keeps what it has of the gateways that run.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import msgpack
from redis.asyncio import Redis

from shared.bus.client import redis_call, refused
from shared.bus.client_numbers import ClientNumbers
from shared.channels import Channels
from shared.errors import BusError
from shared.outage import Outage

_EXPIRES = 10.0  # s: how long a killed gateway is still counted at most
_HEARTBEAT = 2.5  # s: four attempts before that
_SETTLE = 0.2  # s between two writes, so that a burst of connects becomes one batch
TOTAL = "total"
"""The count of all clients, among those of the services."""


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """One client. Times are formatted as on the wire; `number` is the `n` of its id."""

    number: int
    client_id: str
    connected_at: str
    last_activity: str
    subscriptions: tuple[str, ...]


class Presence:
    """The clients of this gateway, and the counts of the others. `run` is its only task."""

    def __init__(
        self, redis: Redis, channels: Channels, node: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Sends nothing yet. `node` names this gateway; `clock` gives seconds."""
        self.node = node
        self.changes = 0
        """Grows with every change of our clients."""
        self.counts: Counter[str] = Counter()
        """Our clients, in total and per service."""
        self._redis = redis
        self._channels = channels
        self._clock = clock
        self._clients: dict[str, ClientRecord] = {}
        self._order: list[tuple[int, str]] = []
        self._changed: set[str] = set()
        self._gone: dict[str, int] = {}
        self._others: Counter[str] = Counter()
        self._stir = asyncio.Event()
        self._whole = True  # the next write sends every client: at the start, and after an outage of Redis
        self._refused = False
        self._kept_at = clock()  # at the start, others have what they wrote
        self._numbers = ClientNumbers(redis, channels)

    # Called by sessions. None of these waits.

    def next_number(self) -> int | None:
        """A client number that no gateway has used, or None while there is none yet."""
        number = self._numbers.next()
        if number is None or self._numbers.low:
            self._stir.set()
        return number

    def put(self, record: ClientRecord) -> None:
        """Add a client, or replace what is known of it."""
        before = self._clients.get(record.client_id)
        if before is None:
            self.counts[TOTAL] += 1
            insort(self._order, (record.number, record.client_id))
        self._recount(before.subscriptions if before else (), record.subscriptions)
        self._clients[record.client_id] = record
        self._changed.add(record.client_id)
        self._change()

    def drop(self, client_id: str) -> None:
        """Remove a client that has left."""
        record = self._clients.pop(client_id, None)
        if record is None:
            return
        self.counts[TOTAL] -= 1
        del self._order[bisect_left(self._order, (record.number, client_id))]
        self._recount(record.subscriptions, ())
        self._changed.discard(client_id)
        if not self._whole:
            self._gone[client_id] = record.number
        self._change()

    def _recount(self, before: Iterable[str], after: Iterable[str]) -> None:
        self.counts.subtract(before)
        self.counts.update(after)

    def _change(self) -> None:
        self.changes += 1
        self._stir.set()

    @property
    def total_clients(self) -> int:
        """Clients of the whole cluster: ours as of now, those of other gateways as of their last write."""
        return self.counts[TOTAL] + self._others[TOTAL]

    @property
    def subscription_counts(self) -> dict[str, int]:
        """Subscribers per service in the whole cluster, without services that have none."""
        return services_of(self.counts + self._others)

    @property
    def kept(self) -> bool:
        """Whether Redis still has what the gateways wrote, as far as this one can tell: it expires unless kept."""
        return self._clock() - self._kept_at < _EXPIRES

    def page(self, after: int, limit: int) -> list[ClientRecord]:
        """Our first `limit` clients whose number is above `after`, in order of their numbers."""
        start = bisect_right(self._order, after, key=itemgetter(0))
        return [self._clients[client_id] for _, client_id in self._order[start : start + limit]]

    # Run by the node.

    async def run(self) -> None:
        """Keep Redis and this object up to date until cancelled, through outages of Redis."""
        redis = Outage(
            "presence lost: other gateways do not see our clients change", "presence back", clock=self._clock
        )
        while True:
            try:
                await self.sync()
                redis.back()
            except BusError as error:
                redis.lost(error)
            await asyncio.sleep(_HEARTBEAT if self._refused else _SETTLE)
            if self._whole:
                continue
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await self._stir.wait()
            except TimeoutError:
                pass  # nothing has changed: write the heartbeat

    async def sync(self) -> None:
        """Write what changed, read the others' counts, and refill client numbers. Raises BusError.

        If Redis answers, but refuses to write, this is the error after everything else was done.
        """
        self._stir.clear()
        self._refused = False
        try:
            found = [await _refusal_of(step) for step in (self._numbers.refill, self._write, self._read_counts)]
            refusal = next(filter(None, found), None)
            if refusal is not None:
                self._refused = True
                await _refusal_of(self._keep)
                raise refusal
        except BusError:
            self._whole = True
            raise

    async def _write(self) -> None:
        """Write the clients that changed; one that Redis has lost, or refused, is among them the next time."""
        async with redis_call("presence"):
            # By itself: it is on another slot of a Redis Cluster, and where it is refused, the rest need not be sent.
            await self._redis.sadd(self._channels.nodes, self.node)
        whole, self._whole = self._whole, False
        changed = set(self._clients) if whole else self._changed
        gone, self._gone, self._changed = self._gone, {}, set()
        details, order, counts = self._keys
        async with redis_call("presence"), self._redis.pipeline(transaction=True) as pipeline:
            if whole:
                pipeline.delete(details, order)
            elif gone:
                pipeline.hdel(details, *gone)
                pipeline.zrem(order, *gone)
            records = [self._clients[client_id] for client_id in changed]
            if records:
                pipeline.hset(details, mapping={record.client_id: _pack(record) for record in records})
                pipeline.zadd(order, {record.client_id: record.number for record in records})
            pipeline.delete(counts)
            pipeline.hset(counts, mapping=dict[Any, Any]({TOTAL: 0} | self.counts))
            for key in self._keys:
                pipeline.pexpire(key, round(_EXPIRES * 1000))
            pipeline.hlen(details)
            pipeline.zcard(order)
            clients = len(self._clients)
            *_, detailed, ordered = await pipeline.execute()
        self._kept_at = self._clock()
        if (detailed, ordered) != (clients, clients):  # Redis has lost some of our earlier writes
            self._whole = True

    async def _keep(self) -> None:
        """Have what Redis already has of us not expire. A Redis that is full allows that, for it takes no memory."""
        async with redis_call("presence"), self._redis.pipeline(transaction=False) as pipeline:
            for key in self._keys:
                pipeline.pexpire(key, round(_EXPIRES * 1000))
            await pipeline.execute()
        self._kept_at = self._clock()

    async def _read_counts(self) -> None:
        """Read the counts of every other gateway that runs."""
        nodes = await nodes_of(self._redis, self._channels)
        async with redis_call("presence"), self._redis.pipeline(transaction=False) as pipeline:
            for node in nodes:
                pipeline.hgetall(self._channels.presence_counts(node))
            answers = await pipeline.execute()
        alive = {node: counter(answer) for node, answer in zip(nodes, answers, strict=True) if answer}
        self._others = sum((counts for node, counts in alive.items() if node != self.node), Counter[str]())
        dead = set(nodes) - {*alive, self.node}
        if dead:
            async with redis_call("presence"):
                await self._redis.srem(self._channels.nodes, *dead)

    async def leave(self) -> None:
        """Remove this gateway, so that its clients are no longer counted. Raises BusError."""
        async with redis_call("presence"), self._redis.pipeline(transaction=False) as pipeline:
            pipeline.delete(*self._keys)
            pipeline.srem(self._channels.nodes, self.node)
            await pipeline.execute()

    @property
    def _keys(self) -> tuple[str, str, str]:
        """The keys of this gateway: clients, their order, counts."""
        names = self._channels
        return names.presence(self.node), names.presence_order(self.node), names.presence_counts(self.node)


async def _refusal_of(step: Callable[[], Awaitable[None]]) -> BusError | None:
    """Do something, and return what Redis refused of it. Raises BusError for every other fault."""
    try:
        await step()
    except BusError as error:
        if not refused(error):
            raise
        return error
    return None


async def nodes_of(redis: Redis, channels: Channels) -> list[str]:
    """Every gateway that runs, or ran lately. Raises BusError."""
    async with redis_call("presence"):
        members: set[Any] = await redis.smembers(channels.nodes)
    return sorted(node.decode(errors="replace") for node in members)


def services_of(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts per service, without the total and without services that have none."""
    return {name: count for name, count in sorted(counts.items()) if name != TOTAL and count > 0}


def counter(answer: Mapping[bytes, bytes]) -> Counter[str]:
    """The counts of one gateway, as Redis has them. What is no count is left out: others may write there, too."""
    counts = Counter[str]()
    for name, count in answer.items():
        with contextlib.suppress(ValueError):  # of both conversions
            counts[name.decode()] = int(count)
    return counts


def _pack(record: ClientRecord) -> bytes:
    packed: bytes = msgpack.packb((record.connected_at, record.last_activity, record.subscriptions))
    return packed


def unpack(number: int, client_id: str, raw: bytes | None) -> ClientRecord | None:
    """A client as Redis has it; None if it has left, or if no gateway has written that."""
    if raw is None:
        return None
    try:
        connected_at, last_activity, subscriptions = msgpack.unpackb(raw)
        return ClientRecord(number, client_id, connected_at, last_activity, tuple(subscriptions))
    except (ValueError, TypeError, msgpack.UnpackException):
        return None
