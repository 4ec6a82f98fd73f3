"""Accepting connections: few per turn of the loop, and none that the process has no files for.

asyncio accepts as many connections at once as the kernel may queue, and meanwhile serves nobody. When no file is left,
it logs a traceback for each place of that queue, every second.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import Callable
from functools import partial

import structlog

log = structlog.get_logger()

BACKLOG = 2048  # connections that the kernel queues while the loop broadcasts; it refuses more
_PER_TURN = 32  # connections accepted per turn of the loop, 3 ms; with fewer, health checks would wait behind a herd
_UNSENT_BYTES = 131_072  # that the kernel takes for a client that reads slowly: two writes
_PAUSE = 0.05  # s until a full process looks again whether a connection has ended; the kernel queues meanwhile
CALM = 10.0  # s without a pause until "accepting again" is logged: a storm of clients that come and go is one event
_OWN_FILES = 64  # files besides connections: Redis, the database, lookups, the loop's own; 30 in use when busy
_UNLIMITED = 1_048_576  # Linux' own maximum of files per process; without a limit, memory ends first
_HTTP_SHARE = 8  # one connection of so many is kept for HTTP, so that a full gateway still answers health checks
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; `port` 0 picks a free one. Raises OSError where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With IPPROTO_TCP, asyncio sets TCP_NODELAY on accepted connections. With the 0 of socket.create_server it
    # does not, and replies wait 40 ms for an acknowledgement (Nagle).
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # accepted sockets inherit it
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one, as every process may. Returns the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS has a lower maximum than its hard limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def connections_within(files: int) -> int:
    """How many connections a process with a limit of `files` can hold."""
    if files == resource.RLIM_INFINITY:  # -1
        files = _UNLIMITED
    return max(files - _OWN_FILES, 1)


def websockets_within(files: int) -> int:
    """How many of them may be WebSockets."""
    most = connections_within(files)
    return max(most - max(most // _HTTP_SHARE, 1), 1)


class Listener:
    """Accepts connections from a listening socket while fewer than `most` are open."""

    def __init__(
        self,
        listening: socket.socket,
        make_protocol: Callable[[socket.socket], asyncio.BaseProtocol],
        *,
        most: int,
        count: Callable[[], int],
    ) -> None:
        """`count` returns how many connections have a protocol now."""
        self._socket = listening
        self._make_protocol = make_protocol
        self._most = most
        self._count = count
        self._connecting: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._paused_at: float | None = None  # last; None once accepting again was logged

    def start(self) -> None:
        """Begin to accept."""
        self._again = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    async def aclose(self) -> None:
        """Accept no more, and close the socket."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
        if self._again is not None:
            self._again.cancel()
        self._socket.close()
        await asyncio.gather(*self._connecting, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(_PER_TURN):
            if self._count() + len(self._connecting) >= self._most:
                self._pause("as many connections as the limit of open files allows")
                return
            try:
                connection, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                if error.errno not in _OUT_OF_FILES:
                    raise
                self._pause(str(error.strerror))
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        if self._paused_at is not None and self._loop.time() - self._paused_at >= CALM:
            self._paused_at = None
            log.info("accepting connections again", connections=self._count())

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(partial(self._make_protocol, connection), connection)
        except OSError as error:  # the client is gone already
            log.debug("a connection ended before it began", error=str(error))
            connection.close()

    def _pause(self, reason: str) -> None:
        """Let the kernel queue connections for a moment. Logged when it begins."""
        if self._paused_at is None:
            log.warning("no more connections are accepted for now", reason=reason, connections=self._count())
        self._paused_at = self._loop.time()
        self._loop.remove_reader(self._socket.fileno())
        self._again = self._loop.call_later(_PAUSE, self.start)
