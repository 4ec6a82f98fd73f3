"""Connections to one Redis server: they know whether it is the right one, and are dropped when it is no longer.

redis-py keeps a connection as long as its socket is open. After a failover the server at its other end may be a
replica, which refuses every write; the name in REDIS_URL, or the Sentinels, would lead to the new primary. So whatever
a server says that only a server of another role says ends all connections of the pool, and the next one resolves the
name anew.
"""

from __future__ import annotations

import weakref
from typing import Any, Literal

from redis.asyncio.connection import (
    AbstractConnection,
    BlockingConnectionPool,
    Connection,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.exceptions import BusyLoadingError, MasterDownError, ReadOnlyError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

Mode = Literal["standalone", "cluster"]

_MOST_CONNECTIONS = 50  # per process and server: a gateway needs five, a worker ten; further commands wait for one


class WrongServerError(RedisConnectionError):
    """The server is not the one that REDIS_URL means, or no longer. The message says why, without an address."""


class NoServerError(RedisConnectionError):
    """Nobody can say which server it is now. The message says why, without an address."""


_WRONG_MODE: dict[tuple[Mode, str], str] = {
    ("standalone", "sentinel"): "REDIS_URL points at a Sentinel: write redis+sentinel://host:port/service-name/db",
    ("standalone", "cluster"): "REDIS_URL points at a node of a Redis Cluster: write redis+cluster://host:port",
    ("cluster", "sentinel"): "REDIS_URL names a Cluster, but points at a Sentinel: write redis+sentinel://…",
    ("cluster", "standalone"): "REDIS_URL names a Cluster, but points at a server without it: write redis://…",
}
"""By what REDIS_URL says, and what the server is."""


def lost_role(error: BaseException) -> str | None:
    """The word by which a server says that it does not serve as a primary; None for every other error."""
    if isinstance(error, BusyLoadingError):
        return "LOADING"
    if isinstance(error, MasterDownError):
        return "MASTERDOWN"
    text = str(error)
    # Before Redis 7, the refusal of a script's command comes after the line number of the script.
    if isinstance(error, ReadOnlyError) or (isinstance(error, ResponseError) and ": -READONLY " in text):
        return "READONLY"
    # To commands that wait, such as XREADGROUP with BLOCK.
    if isinstance(error, ResponseError) and text.startswith("UNBLOCKED") and "instance state changed" in text:
        return "UNBLOCKED"
    return None


class Pool(BlockingConnectionPool):
    """The connections of a client, and those that were made beside it (`make_connection`).

    A command waits for a free connection, within its own deadline, where redis-py's default pool would raise.
    """

    def __init__(
        self, connection_class: type[AbstractConnection] = Connection, mode: Mode = "standalone", **options: Any
    ) -> None:
        """`mode` is what kind of server REDIS_URL names. Opens nothing. Raises TypeError for an unknown option."""
        self._made: weakref.WeakSet[AbstractConnection] = weakref.WeakSet()
        self.mode = mode
        self.server: dict[str, Any] = {}
        """What the server has said of itself when the latest connection was opened: `mode`, `role`, `version`."""
        super().__init__(
            connection_class=watched(connection_class),
            max_connections=options.pop("max_connections", _MOST_CONNECTIONS),
            timeout=None,
            owner=weakref.ref(self),
            **options,
        )

    def make_connection(self) -> AbstractConnection:
        """A connection, not opened yet."""
        connection: AbstractConnection = super().make_connection()  # type: ignore[no-untyped-call]
        self._made.add(connection)
        return connection

    async def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the idle connections, and those in use unless told otherwise, without waiting for the server.

        redis-py waits until a connection is closed. With TLS that takes an answer, which a dead server does not give:
        then it raises, and until then it would close what others have taken from the pool meanwhile.
        """
        in_use = self._in_use_connections if inuse_connections else ()
        for connection in [*self._available_connections, *in_use]:
            await connection.disconnect(nowait=True)

    async def drop(self) -> None:
        """End every connection, those in use too: who reads from one gets ConnectionError."""
        for connection in list(self._made):
            await connection.disconnect(nowait=True)

    async def locate(self, connection: AbstractConnection) -> None:
        """Set where `connection` connects to. Its name is resolved by the system."""

    def check(self, connection: AbstractConnection) -> None:
        """Raise WrongServerError if the `server` that `connection` was opened to is not what REDIS_URL means."""
        mode = self.server.get("mode", self.mode)
        if (self.mode, mode) in _WRONG_MODE:
            raise WrongServerError(_WRONG_MODE[self.mode, mode])
        version = str(self.server.get("version", ""))
        if self.mode == "cluster" and version.partition(".")[0].isdigit() and int(version.partition(".")[0]) < 7:
            raise WrongServerError(
                f"a Redis Cluster must be of version 7.0 or newer, for sharded pub/sub; this is {version}"
            )


class _Watched(AbstractConnection):
    """Asks a server what it is when it connects, and notices when it loses its role."""

    def __init__(self, *, owner: weakref.ref[Pool], **options: Any) -> None:
        super().__init__(**options)
        self._owner = owner

    async def connect_check_health(self, check_health: bool = True, retry_socket_connect: bool = True) -> None:
        pool = self._owner()
        if pool is not None and not self.is_connected:
            await pool.locate(self)
        await super().connect_check_health(check_health, retry_socket_connect)

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        await super().on_connect_check_health(check_health)
        pool = self._owner()
        if pool is None:
            return
        # Every user may send HELLO, also one that may send nothing else. A proxy may not know it.
        await self.send_command("HELLO", check_health=False)
        try:
            answer = await self.read_response()
        except ResponseError:
            pool.server = {}
            return
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=False)
        pool.server = {_text(name): _text(value) for name, value in pairs}
        pool.check(self)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except (ResponseError, BusyLoadingError) as error:
            role = lost_role(error)
            if role is None:
                raise
            pool = self._owner()
            if pool is not None:
                await pool.drop()
            await self.disconnect(nowait=True)
            raise WrongServerError(f"the server does not serve as a primary ({role})") from None


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


class _Tcp(_Watched, Connection):
    pass


class _Tls(_Watched, SSLConnection):
    pass


class _Unix(_Watched, UnixDomainSocketConnection):
    pass


def watched(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Our kind of a connection of redis-py."""
    return {Connection: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}.get(kind, kind)
