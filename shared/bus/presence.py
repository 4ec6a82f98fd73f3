"""Presence: who is connected to which gateway, for the whole cluster, in Redis. A dead gateway expires from it.

Every gateway writes its own clients, in batches, and reads the counts of the others. Gateways never call each other.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack
from redis.asyncio import Redis

from shared.bus.client import load_script, redis_call
from shared.channels import Channels
from shared.errors import BusError
from shared.outage import Outage

_EXPIRES_MS = 10_000  # how long a killed gateway is still counted at most
_HEARTBEAT = 2.5  # s: four attempts before that
_SETTLE = 0.2  # s between two writes, so that a burst of connects becomes one batch
_BLOCK = 10_000  # client numbers that a gateway takes at a time, so that a connect needs no round trip
_TOTAL = "total"


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """One client. Times are formatted as on the wire; `number` is the `n` of its id."""

    number: int
    client_id: str
    connected_at: str
    last_activity: str
    subscriptions: tuple[str, ...]


class ClusterStats(NamedTuple):
    """Counts of the whole cluster, and one page of its clients, in order of their numbers."""

    total: int
    subscription_counts: dict[str, int]
    clients: list[ClientRecord]
    next_cursor: int | None


class Presence:
    """The clients of this gateway, and the counts of the others. `run` is its only task."""

    def __init__(self, redis: Redis, channels: Channels, node: str) -> None:
        self._redis = redis
        self._channels = channels
        self._node = node
        self._clients: dict[str, ClientRecord] = {}
        self._changed: set[str] = set()
        self._gone: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self._others: Counter[str] = Counter()
        self._stir = asyncio.Event()
        self._whole = True  # the next write sends every client: at the start, and after an outage of Redis
        self._free: range = range(0)
        self._spare: range = range(0)
        self._highest = 0  # of all numbers that Redis has handed out to us
        self._take = load_script(redis, "client_numbers")

    # Called by sessions. None of these waits.

    def next_number(self) -> int | None:
        """A client number that no gateway has used, or None while Redis has not handed out any yet."""
        if not self._free and self._spare:
            self._free, self._spare = self._spare, range(0)
        if not self._free:
            self._stir.set()
            return None
        number, self._free = self._free[0], self._free[1:]
        if not self._spare and len(self._free) < _BLOCK // 2:
            self._stir.set()
        return number

    def put(self, record: ClientRecord) -> None:
        """Add a client, or replace what is known of it."""
        before = self._clients.get(record.client_id)
        if before is None:
            self._counts[_TOTAL] += 1
        self._recount(before.subscriptions if before else (), record.subscriptions)
        self._clients[record.client_id] = record
        self._changed.add(record.client_id)
        self._stir.set()

    def drop(self, client_id: str) -> None:
        """Remove a client that has left."""
        record = self._clients.pop(client_id, None)
        if record is None:
            return
        self._counts[_TOTAL] -= 1
        self._recount(record.subscriptions, ())
        self._changed.discard(client_id)
        self._gone[client_id] = record.number
        self._stir.set()

    def _recount(self, before: Iterable[str], after: Iterable[str]) -> None:
        self._counts.subtract(before)
        self._counts.update(after)

    @property
    def total_clients(self) -> int:
        """Clients of the whole cluster: ours as of now, those of other gateways as of their last write."""
        return self._counts[_TOTAL] + self._others[_TOTAL]

    @property
    def subscription_counts(self) -> dict[str, int]:
        """Subscribers per service in the whole cluster, without services that have none."""
        return _services_of(self._counts + self._others)

    # Run by the node.

    async def run(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep Redis and this object up to date until cancelled, through outages of Redis."""
        redis = Outage("presence lost: other gateways stop counting our clients", "presence back", clock=clock)
        while True:
            try:
                await self.sync()
                redis.back()
            except BusError as error:
                redis.lost(error)
            await asyncio.sleep(_SETTLE)
            if self._whole:
                continue
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await self._stir.wait()
            except TimeoutError:
                pass  # nothing has changed: write the heartbeat

    async def sync(self) -> None:
        """Write what changed, read the others' counts, and refill client numbers. Raises BusError."""
        self._stir.clear()
        try:
            await self._take_numbers()
            await self._write()
            others = Counter[str]()
            for node, counts in (await self._read_counts()).items():
                if node != self._node:
                    others.update(counts)
            self._others = others
        except BusError:
            self._whole = True
            raise

    async def _take_numbers(self) -> None:
        """Refill our numbers if necessary, and always check that Redis hands out no number twice."""
        wanted = 0 if self._spare else _BLOCK
        async with redis_call("presence"):
            taken = int(await self._take(keys=[self._channels.client_numbers], args=[self._highest, wanted]))
        if wanted:
            self._spare = range(taken + 1, taken + 1 + wanted)
            self._highest = self._spare[-1]

    async def _write(self) -> None:
        whole, self._whole = self._whole, False
        changed = set(self._clients) if whole else self._changed
        gone, self._gone, self._changed = self._gone, {}, set()
        details, order = self._channels.presence(self._node), self._channels.presence_order(self._node)
        counts = self._channels.presence_counts(self._node)
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
            pipeline.hset(counts, mapping=dict[Any, Any]({_TOTAL: 0} | self._counts))
            pipeline.sadd(self._channels.nodes, self._node)
            for key in (details, order, counts):
                pipeline.pexpire(key, _EXPIRES_MS)
            pipeline.hlen(details)
            pipeline.zcard(order)
            clients = len(self._clients)
            *_, detailed, ordered = await pipeline.execute()
        if (detailed, ordered) != (clients, clients):  # Redis has lost some of our earlier writes
            self._whole = True

    async def _read_counts(self) -> dict[str, Counter[str]]:
        """The counts of every gateway that runs."""
        nodes = await self._nodes()
        async with redis_call("presence"), self._redis.pipeline(transaction=False) as pipeline:
            for node in nodes:
                pipeline.hgetall(self._channels.presence_counts(node))
            answers = await pipeline.execute()
        alive = {node: answer for node, answer in zip(nodes, answers, strict=True) if answer}
        dead = set(nodes) - set(alive)
        if dead:
            async with redis_call("presence"):
                await self._redis.srem(self._channels.nodes, *dead)
        return {node: _counter(answer) for node, answer in alive.items()}

    async def _nodes(self) -> list[str]:
        """Every gateway that runs, or ran lately."""
        async with redis_call("presence"):
            members: set[Any] = await self._redis.smembers(self._channels.nodes)
        return sorted(node.decode() for node in members)

    async def stats(self, after: int, limit: int) -> ClusterStats:
        """Counts, and the first `limit` clients whose number is above `after`. Raises BusError.

        Our own clients are read from memory, those of other gateways from Redis as of their last write.
        """
        nodes = [node for node in await self._nodes() if node != self._node]
        # One transaction, like a gateway's write: counts and page are of the same moment.
        async with redis_call("presence"), self._redis.pipeline(transaction=True) as pipeline:
            for node in nodes:
                pipeline.hgetall(self._channels.presence_counts(node))
            for node in nodes:
                order_key = self._channels.presence_order(node)
                pipeline.zrangebyscore(order_key, f"({after}", "+inf", start=0, num=limit + 1, withscores=True)
            answers = await pipeline.execute()
        together = sum(map(_counter, answers[: len(nodes)]), +self._counts)
        theirs = [
            (int(number), client_id.decode(), node)
            for node, page in zip(nodes, answers[len(nodes) :], strict=True)
            for client_id, number in page
        ]
        ours = ((record.number, record.client_id, self._node) for record in self._clients.values())
        order = sorted([*theirs, *(entry for entry in ours if entry[0] > after)])
        chosen = order[:limit]
        async with redis_call("presence"), self._redis.pipeline(transaction=False) as pipeline:
            for _, client_id, node in chosen:
                if node != self._node:
                    pipeline.hget(self._channels.presence(node), client_id)
            packed = iter(await pipeline.execute())
        clients: list[ClientRecord] = []
        for number, client_id, node in chosen:
            record = self._clients.get(client_id) if node == self._node else _unpack(number, client_id, next(packed))
            if record is not None:  # else the client has left between the two reads
                clients.append(record)
        next_cursor = chosen[-1][0] if len(order) > limit else None
        return ClusterStats(together[_TOTAL], _services_of(together), clients, next_cursor)

    async def leave(self) -> None:
        """Remove this gateway, so that its clients are no longer counted. Raises BusError."""
        keys = (
            self._channels.presence(self._node),
            self._channels.presence_order(self._node),
            self._channels.presence_counts(self._node),
        )
        async with redis_call("presence"), self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(*keys)
            pipeline.srem(self._channels.nodes, self._node)
            await pipeline.execute()


def _services_of(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in sorted(counts.items()) if name != _TOTAL and count > 0}


def _counter(answer: Mapping[bytes, bytes]) -> Counter[str]:
    return Counter({key.decode(): int(count) for key, count in answer.items()})


def _pack(record: ClientRecord) -> bytes:
    packed: bytes = msgpack.packb((record.connected_at, record.last_activity, record.subscriptions))
    return packed


def _unpack(number: int, client_id: str, raw: bytes | None) -> ClientRecord | None:
    if raw is None:
        return None
    fields: Any = msgpack.unpackb(raw)
    return ClientRecord(number, client_id, fields[0], fields[1], tuple(fields[2]))
