"""Once: calls of a Lua script that happen once, however often they have to be sent.

A call whose answer is lost may have happened. It is sent again, and the script recognizes the repetition by a number
among its arguments: it answers what has happened, and does it no second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, OutOfMemoryError, ResponseError

from shared.bus.client import REDIS_FAULTS, fault_name, load_script
from shared.bus.cluster import Cluster
from shared.bus.connections import WrongServerError
from shared.errors import BusError, FencedError, UnconfirmedError
from shared.outage import Backoff

ONCE_SECONDS = 5.0
"""The longest that a call takes, with all its repetitions: as long as any other command of ours."""
_ANSWER_SECONDS = 2.0
"""Seconds without an answer after which a call is sent again, on another connection. Redis may be held up by its disk
for as long, and then a repetition does no harm; a connection that has died silently leaves time for two more."""
_FIRST_PAUSE = 0.05  # s before the first repetition: a cut connection can be made anew at once
_LONGEST_PAUSE = 0.5  # s: a call succeeds soon after Redis is back

Argument = str | bytes | int
Arguments = Callable[[], Sequence[Argument]]
_Commands = Callable[[], Sequence[tuple[Argument, ...]]]


class Wait(NamedTuple):
    """How many replicas should have a call's writes, and for how many seconds to wait for them."""

    replicas: int
    seconds: float


class Answer(NamedTuple):
    """What a script returned, and how many replicas had its writes then; 0 if that was not asked."""

    value: Any
    replicas: int


class Once:
    """The script `name`.lua, called with repetitions. Sends nothing yet."""

    def __init__(
        self,
        redis: Redis,
        name: str,
        chance: Callable[[], float] = random.random,
        seconds: float = ONCE_SECONDS,
    ) -> None:
        """`chance` gives 0 ≤ x < 1, for the jitter of pauses. A call is repeated for `seconds`."""
        self._redis = redis
        self._script = load_script(redis, name)
        self._chance = chance
        self.seconds = seconds
        """How long a call is repeated."""

    async def call(
        self, what: str, keys: Sequence[str], args: Arguments, wait: Wait | None = None, *, sent: bool = False
    ) -> Answer:
        """Call it; `what` begins the message of errors. `sent` says that a call with this number may have happened.

        `args` is asked before each attempt, once there is a connection to the server that will run the script.

        What surely did not happen is not repeated: without a connection, or when Redis refuses, it raises BusError at
        once. Raises FencedError where the script refused because of a newer fence, UnconfirmedError if it may have
        happened and no repetition was answered within `seconds`.
        """

        def commands() -> list[tuple[Argument, ...]]:
            call = ("EVALSHA", self._script.sha, len(keys), *keys, *args())
            return [call] if wait is None else [call, ("WAIT", wait.replicas, int(wait.seconds * 1000))]

        attempts = _Attempts(self._redis, self._script, commands, sent)
        pauses = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._chance)
        fault: BaseException | None = None
        try:
            async with asyncio.timeout(self.seconds):
                while fault is None or attempts.worth_another(fault):
                    if fault is not None:
                        await asyncio.sleep(pauses.pause())
                    try:
                        value, *replicas = await attempts.send()
                        return Answer(value, int(replicas[0]) if replicas else 0)
                    except REDIS_FAULTS as error:
                        fault = error
        except TimeoutError as error:
            fault = fault or error
        if str(fault).startswith("FENCED"):
            raise FencedError(f"{what}: {fault}") from None
        kind = UnconfirmedError if attempts.sent else BusError
        raise kind(f"{what}: {fault_name(fault)}") from fault


class _Attempts:
    """The attempts of one call."""

    def __init__(self, redis: Redis, script: AsyncScript, commands: _Commands, sent: bool) -> None:
        self._redis = redis
        self._script = script
        self._commands = commands
        self._full = 0
        self._done = False
        """Whether the latest attempt was answered: it has happened, whatever Redis says of the replicas then."""
        self.sent = sent
        """Whether it may have happened."""

    async def send(self) -> list[Any]:
        """One attempt. Raises what redis-py raises."""
        before, self._done = self.sent, False
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                try:
                    return await self._exchange()
                except NoScriptError:
                    await self._redis.script_load(self._script.script)
                    return await self._exchange()
        except (ResponseError, WrongServerError):
            self.sent = before or self._done  # a refusal: it did not happen now
            raise
        except REDIS_FAULTS:
            # Others of the pool may have died with this connection, without anybody noticing it yet.
            if not isinstance(self._redis, Cluster):
                with contextlib.suppress(*REDIS_FAULTS):
                    await self._redis.connection_pool.disconnect(inuse_connections=False)
            raise

    def worth_another(self, fault: BaseException) -> bool:
        """Whether an attempt after `fault` may help, or find out what happened."""
        # Before Redis 7, the refusal of a script's command comes after the line number of the script.
        if isinstance(fault, OutOfMemoryError) or ": -OOM " in str(fault):
            self._full += 1
            return self._full == 1  # the script has made room if it could
        if isinstance(fault, ResponseError):
            return False
        return self.sent

    async def _exchange(self) -> list[Any]:
        answers = await (self._ask_cluster() if isinstance(self._redis, Cluster) else self._ask_server())
        value, *replicas = answers
        if isinstance(value, ResponseError):
            raise value
        # Who may not WAIT, or whose server no longer can, has published all the same: no replica is known to have it.
        return [value, *(0 if isinstance(each, ResponseError) else each for each in replicas)]

    async def _ask_cluster(self) -> list[Any]:
        self.sent = True
        async with self._redis.pipeline(transaction=False) as pipeline:
            for command in self._commands():
                pipeline.execute_command(*command)
            return list(await pipeline.execute(raise_on_error=False))

    async def _ask_server(self) -> list[Any]:
        """Over one connection, because WAIT waits for what its own connection has written."""
        pool = self._redis.connection_pool
        connection: AbstractConnection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            commands = self._commands()
            self.sent = True
            await connection.send_packed_command(connection.pack_commands(commands))
            answers: list[Any] = []
            for _ in commands:
                try:
                    answers.append(await connection.read_response())
                except ResponseError as refusal:  # the other answers are still to be read
                    answers.append(refusal)
                else:
                    self._done = True
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)
        return answers
