"""The primary of a service, as its Sentinels name it.

redis-py's own Sentinel pool is not used. It asks one Sentinel after the other, so that one that a network swallows
costs every reconnect its whole timeout; it believes the first, even one that is cut off together with the old primary;
it does not ask the server for its role; and a connection that only reads (a subscriber) stays on the old primary as
long as that is up.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from shared.bus.address import Address, Host
from shared.bus.asking import ANSWER_SECONDS, first_answers, no_answer
from shared.bus.connections import NoServerError, Pool, WrongServerError

_WATCH_SECONDS = 1.0
"""Between two looks at who is the primary. All must be live again five seconds after the Sentinels agree on another
primary: it and `ANSWER_SECONDS` leave three of them for a reconnect."""


class Found(NamedTuple):
    """A primary, and the number of the failover that made it one."""

    epoch: int
    host: Host


class SentinelPool(Pool):
    """Connections to the primary of a service. All are ended when the Sentinels name another one."""

    def __init__(self, address: Address, **options: Any) -> None:
        """Opens nothing. Raises TypeError for an unknown option."""
        super().__init__(**address.options | options)
        theirs = dict(address.sentinel_options)
        self._sentinels = [
            Redis(
                host=host,
                port=port,
                ssl=theirs.get("connection_class") is SSLConnection,
                retry=Retry(NoBackoff(), 0),
                socket_connect_timeout=ANSWER_SECONDS,
                socket_timeout=None,
                protocol=2,
                driver_info=None,
                **{name: value for name, value in theirs.items() if name != "connection_class"},
            )
            for host, port in address.hosts
        ]
        self._service = address.service
        self._primary: Host | None = None
        self._watch: asyncio.Task[None] | None = None

    async def locate(self, connection: AbstractConnection) -> None:
        """Have it connect to the primary. Raises NoServerError while the Sentinels name none."""
        if self._watch is None or self._watch.done():
            if self._watch is not None:
                self._watch.result()
            self._watch = asyncio.create_task(self._follow())
        found = await self.primary()
        before, self._primary = self._primary, found
        if before not in (None, found):
            await self.drop()
        connection.host, connection.port = found  # type: ignore[attr-defined]

    def check(self, connection: AbstractConnection) -> None:
        """Raise WrongServerError unless the server is a primary, and still the one that the Sentinels name."""
        super().check(connection)
        role = self.server.get("role", "master")
        if role != "master":
            raise WrongServerError(f"the server that the Sentinels name as the primary is a {role} (yet)")
        if (connection.host, connection.port) != self._primary:  # type: ignore[attr-defined]
            raise NoServerError("the Sentinels have named another primary meanwhile")

    async def primary(self) -> Host:
        """Who is the primary: of the answers of most Sentinels, the newest. Raises NoServerError without any."""
        most = len(self._sentinels) // 2 + 1
        found, faults = await first_answers(map(self._ask, self._sentinels), enough=most)
        if not found:
            raise no_answer(faults, "no Sentinel that answers names a primary")
        return max(found).host

    async def _ask(self, sentinel: Redis) -> Found:
        try:
            state: Any = await sentinel.sentinel_master(self._service)
        except ResponseError as error:
            text = str(error).lower()
            if "unknown command" in text:
                raise WrongServerError("REDIS_URL names Sentinels, but leads to a server: write redis://…") from None
            if "no such master" in text:
                raise WrongServerError("REDIS_URL: the Sentinels know no service of that name") from None
            raise
        if not state["is_master"] or state["is_sdown"] or state["is_odown"]:
            raise NoServerError("this Sentinel counts the primary as down")
        return Found(int(state["config-epoch"]), (state["ip"], int(state["port"])))

    async def _follow(self) -> None:
        """End all connections when another server becomes the primary, also those that only read."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            known = self._primary
            if known is None:
                continue
            try:
                primary = await self.primary()
            except (RedisError, OSError):
                continue  # they are choosing one, or can't be reached: what is open may still work
            if primary != known and self._primary == known:
                self._primary = None
                await self.drop()

    async def aclose(self) -> None:
        """End all connections, and stop watching."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await super().aclose()
        for sentinel in self._sentinels:
            await sentinel.aclose()
