"""Failures of Redis (paused, restarted, connections cut), and a clock that tests move."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from types import TracebackType
from urllib.parse import urlsplit

from launcher.redis_server import RedisServer


def pause(server: RedisServer) -> None:
    """SIGSTOP: the sockets stay open, without answers."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)


def resume(server: RedisServer) -> None:
    """SIGCONT, if it runs."""
    if server.process is not None:
        os.kill(server.process.pid, signal.SIGCONT)


async def restart(server: RedisServer) -> None:
    """SIGKILL and start again. The loop runs on meanwhile, so that clients see their connections close."""
    server.kill()
    await asyncio.to_thread(server.start)


def lose_everything(server: RedisServer) -> None:
    """Delete what a stopped server has kept, in whichever files its version keeps it. Its next start is empty."""
    assert server.process is None
    shutil.rmtree(server.folder)


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Proxy:
    """Stands between a client and Redis. What `cut` cuts stays open on both sides: half-open, as after a lost route."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._flows: list[asyncio.Event] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """REDIS_URL for clients of this proxy."""
        return self._target._replace(netloc=f":{self._target.password}@127.0.0.1:{self.port}").geturl()

    def cut(self) -> None:
        """Forward nothing any more on the connections that are open now; new ones work."""
        for flows in self._flows:
            flows.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        flows = asyncio.Event()
        flows.set()
        self._flows.append(flows)
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        directions = [
            asyncio.ensure_future(_forward(reader, back, flows)),
            asyncio.ensure_future(_forward(there, writer, flows)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            pass  # the end of the test; asyncio's own callback would call it an error
        finally:
            writer.transport.abort()
            back.transport.abort()
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)


async def _forward(source: asyncio.StreamReader, target: asyncio.StreamWriter, flows: asyncio.Event) -> None:
    while data := await source.read(65536):
        await flows.wait()
        target.write(data)
        await target.drain()
