"""How coinwire connects to Redis and calls it: with deadlines, without hidden retries."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from shared.bus.address import Address, malformed, parse_address
from shared.bus.cluster import Cluster
from shared.bus.connections import NoServerError, Pool, WrongServerError
from shared.bus.sentinel import SentinelPool
from shared.errors import BusError, FencedError, SettingsError
from shared.settings import Settings

REDIS_FAULTS = (RedisError, OSError, TimeoutError)
"""What redis-py raises if the server is down, slow or loading, or refuses a command."""

_CONNECT_SECONDS = 3.0  # loopback or one data centre: beyond it the host is down, not slow
_COMMAND_SECONDS = 5.0  # the longest command reads a few MB of a stream


def fault_name(error: BaseException) -> str:
    """The kind of a fault, in a word or two: `ConnectionError`, `ResponseError MISCONF`.

    A refusal of Redis begins with a word in capitals. The text behind it is left out: it may quote arguments.
    Before Redis 7, the refusal of a script's command comes after the line number of the script; in a pipeline,
    redis-py has the command before it.
    What is wrong with the server itself, or that there is none, is given in full.
    """
    if isinstance(error, WrongServerError | NoServerError):
        return str(error)
    code = re.search(r"(?:^|: -|caused error: )([A-Z]{3,}) ", str(error)) if isinstance(error, ResponseError) else None
    return f"{type(error).__name__} {code[1]}" if code else type(error).__name__


def command_deadline() -> asyncio.Timeout:
    """The deadline of one exchange with Redis: `async with command_deadline(): ...`. Raises TimeoutError.

    It replaces redis-py's `socket_timeout`, which sends every command through `asyncio.wait_for`. On Python 3.11 that
    swallows a cancellation that arrives as the command completes, and a task that loses its cancellation never ends.
    """
    return asyncio.timeout(_COMMAND_SECONDS)


@asynccontextmanager
async def redis_call(what: str) -> AsyncIterator[None]:
    """One exchange with Redis, within `command_deadline`; `what` begins the message of its error.

    Raises FencedError where a script refused because of an older fence, BusError for every other fault.
    """
    try:
        async with command_deadline():
            yield
    except REDIS_FAULTS as error:
        if isinstance(error, ResponseError) and str(error).startswith("FENCED"):
            raise FencedError(f"{what}: {error}") from None
        raise BusError(f"{what}: {fault_name(error)}") from error


async def answers_of(pipeline: Pipeline) -> list[Any]:
    """What Redis answers to each command, None for one on a key of another type. Raises what redis-py raises otherwise.

    Others may write to Redis, too: a key that they have broken is the trouble of its own service only.
    """
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception) and not of_other_type(answer):
            raise answer
    return [None if isinstance(answer, Exception) else answer for answer in answers]


def of_other_type(fault: BaseException | None) -> bool:
    """Whether Redis refused because a key is of another type."""
    return isinstance(fault, ResponseError) and str(fault).startswith("WRONGTYPE ")


def refused(error: BusError) -> bool:
    """Whether Redis answered, and refused: it is full, its disk is, it is a replica, or it forbids the command."""
    return isinstance(error.__cause__, ResponseError)


def load_script(redis: Redis, name: str) -> AsyncScript:
    """The Lua script `name`.lua of this folder, whose header documents KEYS and ARGV. Sends nothing yet."""
    return redis.register_script((resources.files(__package__) / f"{name}.lua").read_text())


def open_redis(settings: Settings) -> Redis:
    """A client for REDIS_URL. Sends nothing yet. Raises SettingsError, without the URL, if it is missing or malformed.

    The retries of redis-py are off: a publish without an answer may have happened, and a retry would publish it twice.
    It speaks RESP2 and sends no CLIENT SETINFO, so that a user with few ACL rights can connect.
    """
    if settings.redis_url is None:
        raise SettingsError("REDIS_URL: not set (`make demo` and `make run` start a Redis of their own)")
    address = parse_address(settings.redis_url.get_secret_value())
    ours = {
        "socket_connect_timeout": address.options.get("socket_connect_timeout", _CONNECT_SECONDS),
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }
    try:
        client = _open(address, ours)
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # else a wrong option would fail only at first use
    except (ValueError, TypeError, RedisError):
        raise malformed(address.kind) from None
    return client


def _open(address: Address, options: dict[str, Any]) -> Redis:
    if address.kind == "cluster":
        return Cluster(address, **options)
    if address.kind == "sentinel":
        return Redis.from_pool(SentinelPool(address, **options))
    return Redis.from_pool(Pool(**address.options | options))
