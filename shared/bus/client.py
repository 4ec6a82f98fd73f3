"""How coinwire opens Redis: bounded waits, no hidden retries. Everything that talks to Redis starts here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError, ResponseError

from shared.errors import BusError, FencedError, SettingsError
from shared.settings import Settings

REDIS_FAULTS = (RedisError, OSError, TimeoutError)
"""Everything redis-py raises when the server is away, slow, loading, or refuses a command."""

_CONNECT_SECONDS = 3.0  # loopback or one datacentre: beyond it the host is gone, not slow
_COMMAND_SECONDS = 5.0  # our longest command reads a stream of some MB


def fault_name(error: BaseException) -> str:
    """What kind of a fault it is, in a word or two: `ConnectionError`, `ResponseError MISCONF`.

    The word in capitals that Redis' refusals begin with tells one from another; what follows it may quote arguments.
    Before Redis 7, the refusal of a command that a script sent stands after the line of the script.
    """
    code = re.search(r"(?:^|: -)([A-Z]{4,}) ", str(error)) if isinstance(error, ResponseError) else None
    return f"{type(error).__name__} {code[1]}" if code else type(error).__name__


def command_deadline() -> asyncio.Timeout:
    """How long one exchange with Redis may take: `async with command_deadline(): ...`. Raises TimeoutError beyond it.

    Not redis-py's `socket_timeout`: with it every command goes through `asyncio.wait_for`, which on Python 3.11
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


def load_script(redis: Redis, name: str) -> AsyncScript:
    """The Lua script of the file `name`.lua beside this module, whose header documents KEYS and ARGV; does no I/O."""
    return redis.register_script((resources.files(__package__) / f"{name}.lua").read_text())


def open_redis(settings: Settings) -> Redis:
    """A client for REDIS_URL; does no I/O. Raises SettingsError where the URL is missing or malformed, without it.

    redis-py's own retries are off: a publish that was sent and not answered may have happened, and doing it again
    would publish twice. RESP2, and no CLIENT SETINFO, so that a user with few ACL rights can connect.
    """
    if settings.redis_url is None:
        raise SettingsError("REDIS_URL: not set (`make demo` and `make run` start a Redis of their own)")
    try:
        client: Redis = Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=None,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )
        client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # else options fail at first use
    except (ValueError, TypeError, RedisError):
        raise SettingsError(
            "REDIS_URL: not a redis://, rediss:// or unix:// address with options that redis-py knows"
        ) from None
    return client
