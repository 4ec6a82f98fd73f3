"""CoinList: what workers know of coins, in Redis, so that every gateway knows it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from shared.bus.client import load_script, of_other_type, redis_call
from shared.channels import Channels
from shared.errors import BusError, CoinListError

SERVICE = "market_data"
"""The service whose worker writes the list: it is in the same slot, and under the same fence."""

_WRITE_SECONDS = 1.0  # s to store it: the next cycle tries again, and must not wait for this one


class StoredCoins(NamedTuple):
    """The list as it stands in Redis."""

    version: str
    raw: bytes


class CoinList:
    """The list of a cluster. Every method raises BusError if Redis can't be reached, or refuses."""

    def __init__(self, redis: Redis, channels: Channels) -> None:
        self._redis = redis
        self._keys = [channels.meta(SERVICE), channels.coins(SERVICE)]
        self._store = load_script(redis, "coins")

    async def store(self, raw: bytes, fence: int, *, stays: bool = False) -> None:
        """Store `raw` unless it is there already, which costs one round trip. Repeating it does no harm.

        With `stays`, any list that is there stays. Raises FencedError if a newer holder of the lease has published.
        """
        for sent in (b"", raw):  # it is nearly always there
            args: list[bytes | str | int] = [fence, version_of(raw), sent, int(stays)]
            async with redis_call("coins"), asyncio.timeout(_WRITE_SECONDS):
                if await self._store(keys=self._keys, args=args):
                    return

    async def version(self) -> str | None:
        """The version of the list; None where there is none. Raises CoinListError where there is something else."""
        async with _reading():
            found: Any = await self._redis.hget(self._keys[1], "version")
        return None if found is None else found.decode(errors="replace")

    async def read(self) -> StoredCoins | None:
        """The list; None where there is none. Raises CoinListError if it is not what its version says."""
        async with _reading():
            found: Any = await self._redis.hmget(self._keys[1], "version", "list")
        version, raw = found
        if version is None:
            return None
        if raw is None or version != version_of(raw).encode():
            raise CoinListError("it is not what its version says")
        return StoredCoins(version.decode(), raw)


@asynccontextmanager
async def _reading() -> AsyncIterator[None]:
    """Raises CoinListError for what only people can change, else BusError."""
    try:
        async with redis_call("coins"):
            yield
    except BusError as error:
        if of_other_type(error.__cause__) or isinstance(error.__cause__, NoPermissionError):
            raise CoinListError(str(error)) from error
        raise


def version_of(raw: bytes) -> str:
    """The version of a list, as coins.lua checks it."""
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest()
