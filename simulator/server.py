"""Serve a Simulator on a socket: for the command line, and inside a test's own event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulator.app import Simulator
from simulator.wire import TRANSPORT

_GRACE = (
    3.0  # s for clients that don't read their answer; requests that hang on purpose end at once (Simulator.stopping)
)
_LOOK = 0.002  # s between two looks at whether all connections are closed: it takes some turns of the loop


class _Protocol(H11Protocol):
    """HTTP/1.1 that passes its transport to each request, so that a fault can cut the connection during an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        inner = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[TRANSPORT] = transport
            await inner(scope, receive, send)

        self.app = with_transport


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to its caller and stops without a delay."""

    def __init__(self, simulator: Simulator, sock: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                simulator,
                http=_Protocol,
                ws="none",
                lifespan="off",
                access_log=False,
                server_header=False,
                # Longer than clients keep a connection (httpx: 5 s), as with real hosts: with the same time, some
                # requests would be sent on a connection that is just closing.
                timeout_keep_alive=60,
                log_config=None,
            )
        )
        self.listening = asyncio.Event()
        self._simulator = simulator
        self._stop = asyncio.Event()
        self.url = _url(sock)
        self.serving = asyncio.create_task(self.serve(sockets=[sock]))
        """Done when the server has stopped; raises its error, if any. `running` awaits it."""

    def stop(self) -> None:
        """Stop: hanging requests end, then `serve` returns."""
        self.should_exit = True
        self._simulator.stopping.set()
        self._stop.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and set `listening`."""
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Update uvicorn's Date header once per second, until `stop`."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything. uvicorn's own method waits for 0.1 s, and hundreds of tests stop a simulator."""
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(_GRACE):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - there is no event
                    await asyncio.sleep(_LOOK)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone: uvicorn would raise them again after a clean stop and so decide the exit status."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """A socket on `host`; port 0 takes a free one. Raises OSError where it is taken."""
    # asyncio sets TCP_NODELAY only on sockets that say they are TCP; without it every answer takes 40 ms longer,
    # because its head and its body are two writes.
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _url(sock: socket.socket) -> str:
    host, port, *_ = sock.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def running(simulator: Simulator, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Server]:
    """The simulator in this event loop, listening. Raises OSError where the port is taken."""
    server = Server(simulator, bind(host, port))
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait((server.serving, listening), return_when=asyncio.FIRST_COMPLETED)
        if server.serving.done():
            await server.serving  # raises the server's error
        yield server
    finally:
        listening.cancel()
        server.stop()
        await server.serving
