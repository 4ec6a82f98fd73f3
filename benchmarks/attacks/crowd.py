"""A crowd of attackers in one process: what the attacks of the other modules are made of."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from benchmarks.attacks.wire import Peer, upgrade

_SPARE_FILES = 100  # files of the process that are no connections
_LAST_READ = 1.0  # s to find the close frame behind what was not read
_RETRY = 0.2  # s after a refused connection
_PATIENCE = 15.0  # s for a handshake; a gateway that answers later is late enough


@dataclass(frozen=True)
class Attack:
    """One attack: `run` drives one crowd; `processes` crowds attack at once."""

    name: str
    about: str
    """What the attackers do, for the table's legend."""
    run: Callable[[Crowd], Awaitable[None]]
    seconds: float = 3.0
    processes: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    """Settings of the gateway that differ from the defaults."""
    lawful: bool = False
    """Whether these clients only are slow or many: closing them is wrong."""
    files: int | None = None
    """The gateway's limit of open files, where the attack is about it."""


@dataclass
class Target:
    """What an attacker knows: the gateway's port, and where the services stand."""

    port: int
    seconds: float
    positions: dict[str, tuple[str, int]]


class Crowd:
    """The connections of one process."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.tally: collections.Counter[str] = collections.Counter()
        """What happened to connections that are not in `peers`, and what was sent."""
        self.peers: list[Peer] = []
        self._end = time.monotonic() + target.seconds

    @property
    def left(self) -> float:
        """Seconds until the attack ends."""
        return self._end - time.monotonic()

    def affordable(self, wanted: int) -> int:
        """`wanted` connections, or as many as this process may have files."""
        return min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_FILES)

    async def dial(self, *, window: int | None = None, polite: bool = True, address: str | None = None) -> Peer | None:
        """A TCP connection on which nothing was said; None, counted, where it fails."""
        loop = asyncio.get_running_loop()
        connection = socket.socket()
        try:
            if window is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            if address is not None:
                connection.bind((address, 0))
            connection.setblocking(False)
            async with asyncio.timeout(_PATIENCE):
                await loop.sock_connect(connection, ("127.0.0.1", self.target.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _, peer = await loop.create_connection(lambda: Peer(polite=polite), sock=connection)
        except (OSError, TimeoutError) as error:
            connection.close()
            self.tally[f"no connection: {type(error).__name__}"] += 1
            return None
        self.peers.append(peer)
        return peer

    async def join(
        self, path: str = "/ws/data", *headers: str, window: int | None = None, polite: bool = True
    ) -> Peer | None:
        """A WebSocket connection; None where it was refused or not answered."""
        peer = await self.dial(window=window, polite=polite)
        if peer is None:
            return None
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await peer.send(upgrade(path, *headers))
                if await peer.answered == 101:
                    return peer
        if peer.open:
            self.tally["handshake not answered"] += 1
            peer.reset()
        return None

    async def gather(self, count: int, one: Callable[[int], Awaitable[None]], *, width: int = 100) -> None:
        """Run `one(0)` to `one(count - 1)`, at most `width` at a time. A connection that ends is no error."""
        numbers = iter(range(count))

        async def lane() -> None:
            for number in numbers:
                with contextlib.suppress(ConnectionError, TimeoutError):
                    await one(number)

        await asyncio.gather(*(lane() for _ in range(min(width, count))))

    async def attack(self, peers: Iterable[Peer], one: Callable[[Peer], Awaitable[None]]) -> None:
        """Run `one` for every connection at once, until the attack ends."""

        async def alone(peer: Peer) -> None:
            with contextlib.suppress(ConnectionError):
                await one(peer)

        await self.until_end(map(alone, peers))

    async def persist(
        self, count: int, one: Callable[[Peer], Awaitable[None]], path: str = "/ws/data", *headers: str
    ) -> None:
        """Run `one` on `count` connections until the attack ends; one that is closed is replaced by a new one."""

        async def lane(_: int) -> None:
            while self.left > 0:
                peer = await self.join(path, *headers)
                if peer is None:
                    await asyncio.sleep(_RETRY)
                    continue
                with contextlib.suppress(ConnectionError):
                    await one(peer)

        await self.until_end(lane(number) for number in range(self.affordable(count)))

    async def until_end(self, attackers: Iterable[Awaitable[None]]) -> None:
        """Wait for all of them, but no longer than the attack lasts."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(self.left, 0.1)):
                await asyncio.gather(*attackers)

    async def joined(
        self, count: int, path: str = "/ws/data", *headers: str, window: int | None = None, polite: bool = True
    ) -> list[Peer]:
        """`count` WebSocket connections, as far as they are accepted."""
        found: list[Peer] = []

        async def one(_: int) -> None:
            peer = await self.join(path, *headers, window=window, polite=polite)
            if peer is not None:
                found.append(peer)

        await self.gather(self.affordable(count), one)
        return found

    async def rest(self) -> None:
        """Do nothing more until the attack ends."""
        await asyncio.sleep(max(self.left, 0))

    async def fates(self) -> dict[str, int]:
        """How all connections ended, or that they are held. Those that did not read do so now, to find their end."""
        for peer in self.peers:
            peer.gulp()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_READ):
                await asyncio.gather(*(peer.ended.wait() for peer in self.peers))
        found = collections.Counter(peer.fate for peer in self.peers)
        for peer in self.peers:
            peer.reset()
        return dict(found)


async def pulse(period: float) -> None:
    """Wait for the next multiple of `period` on the clock of the machine: the same moment in every process."""
    await asyncio.sleep(period - time.time() % period)
