"""Which node of a Redis Cluster serves which slot."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot

from shared.bus.address import Host
from shared.bus.asking import first_answers, no_answer
from shared.bus.connections import NoServerError

_ASKED_AT_ONCE = 3  # nodes: all of them hold up the same map, and one that is cut off does not decide
_FRESH_SECONDS = 2.0
"""How long a map is used without another look. A node whose host died without a word is left that long after another
has taken its slots over; everything must be live again within five seconds of that."""
_PAUSE_SECONDS = 0.2  # between two looks after failures: a failover takes seconds

_KEYLESS = frozenset({"PING", "TIME", "INFO", "ROLE", "WAIT", "SCRIPT LOAD", "SCRIPT EXISTS"})


def slot_of(command: tuple[Any, ...]) -> int | None:
    """The slot that a command is for; None for one that any node answers."""
    name = str(command[0]).upper()
    if name in _KEYLESS:
        return None
    if name in ("EVAL", "EVALSHA"):
        return slot(command[3]) if int(command[2]) else None
    if name in ("XREAD", "XREADGROUP"):
        place = next(place for place, word in enumerate(command) if word in ("STREAMS", b"STREAMS"))
        return slot(command[place + 1])
    return slot(command[1])


def slot(key: str | bytes) -> int:
    """The slot of a key or a sharded channel."""
    return int(key_slot(key.encode() if isinstance(key, str) else key))


class Slots:
    """The map of a cluster, and a client of each node in it. A map that turned out to be wrong is read anew."""

    def __init__(
        self, hosts: Iterable[Host], open_node: Callable[[Host], Redis], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`hosts` are some nodes, by which the others are found. Opens nothing."""
        self._seeds = tuple(hosts)
        self._open = open_node
        self._clock = clock
        self._nodes: dict[Host, Redis] = {}
        self._owners: list[Host | None] = [None] * SLOTS
        self._looked_at = float("-inf")
        self._doubted = True
        self._looking: asyncio.Task[None] | None = None

    async def node(self, slot: int | None) -> Redis:
        """The primary that serves a slot, or any primary. Raises what redis-py raises where none is known."""
        age = self._clock() - self._looked_at
        if age > _FRESH_SECONDS or (self._doubted and age > _PAUSE_SECONDS):
            await self._look()
        owners = [self._owners[slot]] if slot is not None else list(set(self._owners))
        known = [owner for owner in owners if owner is not None]
        if not known:
            self.doubt()
            raise NoServerError("no node of the cluster serves this slot")
        return self.at(random.choice(known))

    async def primaries(self) -> list[Redis]:
        """Every node that serves slots."""
        await self.node(None)
        return [self.at(owner) for owner in set(self._owners) if owner is not None]

    def at(self, host: Host) -> Redis:
        """The client of the node at an address."""
        if host not in self._nodes:
            self._nodes[host] = self._open(host)
        return self._nodes[host]

    def moved(self, slot: int, host: Host) -> Redis:
        """A node says that a slot is served by another one. Returns that."""
        self._owners[slot] = host
        return self.at(host)

    def doubt(self) -> None:
        """A node did not answer: look before the next command whether another one has taken over."""
        self._doubted = True

    async def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._read())
            # All that wait for it may have been cancelled.
            self._looking.add_done_callback(lambda look: look.cancelled() or look.exception())
        # Several wait for the one look. A command that is cancelled does not take it from the others.
        await asyncio.shield(self._looking)

    async def _read(self) -> None:
        """Ask a few nodes for the map, then the rest."""
        hosts = list({*self._nodes, *self._seeds})
        random.shuffle(hosts)
        faults: list[Exception] = []
        try:
            for some in (hosts[:_ASKED_AT_ONCE], hosts[_ASKED_AT_ONCE:]):
                found, raised = await first_answers(map(self._map_of, some), enough=1)
                faults += raised
                if found:
                    await self._take(found[0])
                    self._doubted = False
                    return
        finally:
            self._looked_at = self._clock()
        self._doubted = True
        raise no_answer(faults, "no node of the cluster answers")

    async def _map_of(self, host: Host) -> list[Host | None]:
        """The owner of each slot, as the node at an address sees it."""
        rows: Any = await self.at(host).execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        owners: list[Host | None] = [None] * SLOTS
        for first, last, (name, port, *_), *_ in rows:
            # A node that does not know its own address leaves it out: it is the one under which we reached it.
            owner = (name.decode() if name else host[0], int(port))
            owners[first : last + 1] = [owner] * (last + 1 - first)
        if not any(owners):
            raise NoServerError("this node knows of no slots")
        return owners

    async def _take(self, owners: list[Host | None]) -> None:
        """Use a map, and end the connections to nodes that serve no slot any more."""
        before, self._owners = set(self._owners), owners
        for gone in before - set(owners):
            if gone in self._nodes:
                pool: Any = self._nodes.pop(gone).connection_pool
                await pool.drop()

    async def aclose(self) -> None:
        """End all connections."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        for node in self._nodes.values():
            await node.aclose()
        self._nodes.clear()
