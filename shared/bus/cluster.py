"""A client of a Redis Cluster, which sends each command to the node that serves its slot.

redis-py's own is not used: its transactions run an event loop in a thread per command, ASKING goes to another
connection than the command that it is for, and every new map of the cluster reconnects all connections (redis 8.1).
What a node says of a slot (MOVED, ASK, TRYAGAIN) it says instead of executing a command: it is followed at once. What a
broken connection leaves open is not repeated, as nowhere in coinwire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)

from shared.bus.address import Address, Host
from shared.bus.connections import Pool
from shared.bus.slots import Slots, slot_of
from shared.bus.slots import slot as slot_of_key

_REDIRECTIONS = 200
"""How often one command may be sent elsewhere or again. A slot that is on its way between two nodes refuses scripts
until all its keys have arrived; a command's deadline is shorter than this many pauses."""
_TRY_AGAIN_SECONDS = 0.05

Command = tuple[tuple[Any, ...], dict[str, Any]]
"""A command with its arguments, and redis-py's options for its answer."""


class Cluster(Redis):
    """A Redis whose commands go to the nodes of a cluster. Of a multi-key command, all keys must be on one slot."""

    def __init__(self, address: Address, **options: Any) -> None:
        """Opens nothing. Raises TypeError for an unknown option."""
        self._node_options: dict[str, Any] = address.options | options
        # The pool of this object itself is never used; it knows how to encode.
        super().__init__(connection_pool=self._open_pool(address.hosts[0]))
        self.slots = Slots(address.hosts, lambda host: Redis.from_pool(self._open_pool(host)))

    def _open_pool(self, host: Host) -> Pool:
        return Pool(mode="cluster", host=host[0], port=host[1], **self._node_options)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command to the node that serves its keys, and follow it where it is sent on."""
        if args[0] == "SCRIPT LOAD":
            return await self._load_script(args, options)
        slot = slot_of(args)
        node = await self.slots.node(slot)
        asking = False
        for _ in range(_REDIRECTIONS):
            try:
                with self._doubting():
                    if asking:
                        return await _ask(node, args, options)
                    return await node.execute_command(*args, **options)  # type: ignore[no-untyped-call]
            except MovedError as error:
                node, asking = self.slots.moved(error.slot_id, _host_of(error, node)), False
            except AskError as error:
                node, asking = self.slots.at(_host_of(error, node)), True
            except TryAgainError:
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
                node, asking = await self.slots.node(slot), False
        raise RedisClusterException("a slot is on its way between two nodes")

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> ClusterPipeline:
        """Commands that are sent together to each node. A transaction may only touch one slot.

        Without a transaction, commands may be sent again from the first one on that a node refused.
        """
        return ClusterPipeline(self, transaction)

    async def server_of(self, key: str) -> Redis:
        """The node that serves the slot of a key or a sharded channel, as of now. Raises what redis-py raises."""
        return await self.slots.node(slot_of_key(key))

    async def connection_to(self, key: str) -> AbstractConnection:
        """A connection of its own, not opened yet, to the node that serves the slot of a key or a sharded channel."""
        pool: Any = (await self.server_of(key)).connection_pool
        connection: AbstractConnection = pool.make_connection()
        return connection

    async def _load_script(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Load a script into every node that can be reached: any of them may be the one that runs it."""
        nodes = await self.slots.primaries()
        answers = await asyncio.gather(
            *(node.execute_command(*args, **options) for node in nodes),  # type: ignore[no-untyped-call]
            return_exceptions=True,
        )
        loaded = [answer for answer in answers if not isinstance(answer, BaseException)]
        if loaded:
            return loaded[0]
        self.slots.doubt()
        raise next(answer for answer in answers if isinstance(answer, BaseException))

    async def run(self, commands: list[Command]) -> list[Any]:
        """The answers or refusals (ResponseError) of several commands, each node's in order."""
        slots = _slots_of(commands)
        places: dict[Redis, list[int]] = {}
        for place, slot in enumerate(slots):
            places.setdefault(await self.slots.node(slot), []).append(place)
        answers: list[Any] = [None] * len(commands)

        async def ask(node: Redis, places: list[int]) -> None:
            found = await self._send(node, [commands[place] for place in places], transaction=False)
            for place, answer in zip(places, found, strict=True):
                answers[place] = answer

        tasks = [asyncio.ensure_future(ask(node, theirs)) for node, theirs in places.items()]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        refused: set[int | None] = set()
        for place, (args, options) in enumerate(commands):
            if isinstance(answers[place], MovedError | AskError | TryAgainError):
                refused.add(slots[place])
            if slots[place] in refused:
                try:
                    answers[place] = await self.execute_command(*args, **options)
                except ResponseError as error:
                    answers[place] = error
        return answers

    async def run_transaction(self, commands: list[Command]) -> list[Any]:
        """The answers or refusals (ResponseError) of a transaction."""
        slots = set(_slots_of(commands))
        if len(slots) > 1:
            raise RedisClusterException("a transaction may only touch one slot")
        node = await self.slots.node(slots.pop())
        try:
            return await self._send(node, commands, transaction=True)
        except MovedError as error:
            return await self._send(self.slots.moved(error.slot_id, _host_of(error, node)), commands, transaction=True)

    async def _send(self, node: Redis, commands: list[Command], *, transaction: bool) -> list[Any]:
        with self._doubting():
            async with node.pipeline(transaction=transaction) as pipeline:
                for args, options in commands:
                    pipeline.execute_command(*args, **options)
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        """Doubt the map where a node did not answer, also where it was not waited for any longer."""
        try:
            yield
        except ResponseError as error:
            if isinstance(error, ClusterDownError):
                self.slots.doubt()
            raise
        except BaseException:
            self.slots.doubt()
            raise

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """End all connections."""
        await self.slots.aclose()


class ClusterPipeline(Pipeline):
    """Commands that wait until `execute`."""

    def __init__(self, cluster: Cluster, transaction: bool) -> None:
        super().__init__(cluster.connection_pool, cluster.response_callbacks, transaction, None)
        self._cluster = cluster

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send them, and return the answers in their order."""
        commands: list[Any] = self.command_stack
        try:
            if not commands:
                return []
            for script in self.scripts:
                await self._cluster.script_load(script.script)
            run = self._cluster.run_transaction if self.is_transaction else self._cluster.run
            answers = await run(commands)
            if raise_on_error:
                self.raise_first_error(commands, answers)
            return answers
        finally:
            await self.reset()  # type: ignore[no-untyped-call]


def _slots_of(commands: list[Command]) -> list[int | None]:
    """The slot of each command. One without keys (WAIT) belongs to the command before it."""
    slots: list[int | None] = []
    for args, _ in commands:
        slot = slot_of(args)
        slots.append(slots[-1] if slot is None and slots else slot)
    return slots


def _host_of(error: AskError, node: Redis) -> Host:
    """Where a node sends a command on. One that does not know the other's address means its own host."""
    own: str = node.connection_pool.connection_kwargs["host"]
    return (error.host or own, int(error.port))


async def _ask(node: Redis, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Send a command to the node that a slot is on its way to."""
    async with node.pipeline(transaction=False) as pipeline:
        pipeline.execute_command("ASKING")
        pipeline.execute_command(*args, **options)
        _, answer = await pipeline.execute(raise_on_error=False)
    if isinstance(answer, RedisError):
        raise answer
    return answer
