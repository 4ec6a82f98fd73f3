"""StatsReader: the clients of the whole cluster, page by page. For requests, on connections of their own.

What a stranger may ask for must not take the connections that keep a gateway ready: it would wait for a free one.
"""

from __future__ import annotations

from typing import NamedTuple

from redis.asyncio import Redis

from shared.bus.client import redis_call
from shared.bus.presence import TOTAL, ClientRecord, Presence, counter, nodes_of, services_of, unpack
from shared.channels import Channels
from shared.errors import BusError


class ClusterStats(NamedTuple):
    """Counts of the whole cluster, and one page of its clients, in order of their numbers."""

    total: int
    subscription_counts: dict[str, int]
    clients: list[ClientRecord]
    next_cursor: int | None


class StatsReader:
    """Reads what all gateways have written. Our own clients come from memory."""

    def __init__(self, redis: Redis, channels: Channels, presence: Presence) -> None:
        """Sends nothing yet. `redis` is used by nothing else; every read takes one of its connections."""
        self._redis = redis
        self._channels = channels
        self.presence = presence

    async def read(self, after: int, limit: int) -> ClusterStats:
        """Counts, and the first `limit` clients whose number is above `after`.

        Our own clients are of this moment, those of other gateways as of their last write. Raises BusError where
        Redis can't be read, and where it has taken no heartbeat of ours for so long that those of others are gone too.
        """
        presence, names = self.presence, self._channels
        if not presence.kept:
            raise BusError("presence: expired, because Redis was away or refused it")
        nodes = [node for node in await nodes_of(self._redis, names) if node != presence.node]
        # No transaction: a Redis that is full refuses even reads in one. Sent together, these are answered together.
        async with redis_call("presence"), self._redis.pipeline(transaction=False) as pipeline:
            for node in nodes:
                pipeline.hgetall(names.presence_counts(node))
                key = names.presence_order(node)
                pipeline.zrangebyscore(key, f"({after}", "+inf", start=0, num=limit + 1, withscores=True)
            answers = await pipeline.execute()
        together = sum(map(counter, answers[::2]), +presence.counts)
        theirs = [
            (int(number), client_id.decode(errors="replace"), node)
            for node, page in zip(nodes, answers[1::2], strict=True)
            for client_id, number in page
        ]
        ours = {record.client_id: record for record in presence.page(after, limit + 1)}
        order = sorted([*theirs, *((record.number, record.client_id, presence.node) for record in ours.values())])
        chosen = order[:limit]
        async with redis_call("presence"), self._redis.pipeline(transaction=False) as pipeline:
            for _, client_id, node in chosen:
                if node != presence.node:
                    pipeline.hget(names.presence(node), client_id)
            packed = iter(await pipeline.execute())
        clients: list[ClientRecord] = []
        for number, client_id, node in chosen:
            record = ours[client_id] if node == presence.node else unpack(number, client_id, next(packed))
            if record is not None:  # else the client has left between the two reads
                clients.append(record)
        next_cursor = chosen[-1][0] if len(order) > limit else None
        return ClusterStats(together[TOTAL], services_of(together), clients, next_cursor)
