"""Accepting connections: few at a time, and none beyond the limit of open files."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import re
import resource
import socket
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from structlog.testing import capture_logs

from gateway.transport import listener
from gateway.transport.listener import BACKLOG, Listener, connections_within, websockets_within
from shared.settings import Settings
from tests.contract.conftest import Cluster
from tests.gateway.raw import connect, dial, frame
from tests.places import ROOT
from tests.waiting import until

PAUSED, AGAIN = "no more connections are accepted for now", "accepting connections again"


class Accepted(asyncio.Protocol):
    """A connection that is counted while it is open."""

    def __init__(self, opened: set[Accepted]) -> None:
        self._opened = opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._opened.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._opened.discard(self)


@contextlib.asynccontextmanager
async def accepting(most: int) -> AsyncIterator[tuple[set[Accepted], int]]:
    """The connections that a Listener has accepted, and its port."""
    opened: set[Accepted] = set()
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as listening:
        listening.setblocking(False)
        accepting = Listener(listening, lambda _: Accepted(opened), most=most, count=lambda: len(opened))
        accepting.start()
        yield opened, listening.getsockname()[1]
        for each in list(opened):
            each.transport.close()
        await accepting.aclose()


async def test_few_connections_are_accepted_per_turn() -> None:
    """Five hundred that come at once wait in the kernel, and others get their turns between."""
    async with accepting(1000) as (opened, port), contextlib.AsyncExitStack() as held:
        loop, counts = asyncio.get_running_loop(), [0]

        def count() -> None:
            """Once per turn of the loop."""
            counts.append(len(opened))
            if counts[-1] < 500:
                loop.call_soon(count)

        for _ in range(500):
            raw = held.enter_context(socket.socket())
            raw.connect(("127.0.0.1", port))
        count()
        await until(lambda: counts[-1] == 500)
    assert max(after - before for before, after in itertools.pairwise(counts)) <= 32


async def test_a_full_process_accepts_when_another_leaves() -> None:
    """The others wait in the kernel. It is logged once, however many come and go."""
    with capture_logs() as logs:
        async with accepting(10) as (opened, port), contextlib.AsyncExitStack() as held:
            first = [await held.enter_async_context(dial(port)) for _ in range(30)]
            await until(lambda: bool(logs))
            await until(lambda: len(opened) == 10)
            for raw in first[:25]:
                raw._socket.close()
            await until(lambda: len(opened) == 5)
    assert [line["event"] for line in logs] == [PAUSED]


async def test_no_file_left_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something else took the files: the loop is not kept busy, and what waits is accepted later."""
    monkeypatch.setattr(listener, "CALM", 0.0)
    with capture_logs() as logs:
        async with accepting(1000) as (opened, port), dial(port):
            await until(lambda: len(opened) == 1)
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            with socket.socket() as late:
                lowest = os.dup(late.fileno())
                os.close(lowest)
                resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
                try:
                    late.connect(("127.0.0.1", port))
                    await until(lambda: bool(logs))
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                await until(lambda: len(opened) == 2)
    assert [(line["event"], line.get("reason")) for line in logs] == [
        (PAUSED, os.strerror(errno.EMFILE)),
        (AGAIN, None),
    ]


@pytest.mark.parametrize(
    ("files", "connections", "websockets"), [(80, 16, 14), (1024, 960, 840), (20, 1, 1), (-1, 1048512, 917448)]
)
def test_files_are_kept_for_the_process_and_for_health_checks(files: int, connections: int, websockets: int) -> None:
    """64 for Redis, the database and the process; an eighth of the rest for HTTP. -1 is no limit."""
    assert (connections_within(files), websockets_within(files)) == (connections, websockets)


async def test_connections_without_a_websocket_are_counted(cluster: Cluster) -> None:
    """Beside the WebSockets, so that it is seen who takes the files."""
    node = cluster.nodes[0]
    async with dial(node.port), connect(node.port):
        await until(lambda: node.registry.get_sample_value("coinwire_gateway_http_connections") == 1)
        assert node.registry.get_sample_value("coinwire_gateway_connections") == 1


@pytest.mark.slow  # it opens hundreds of connections
async def test_a_gateway_with_few_files_serves_those_it_has(settings: Settings) -> None:
    """The soft limit is raised to the hard one, MAX_CONNECTIONS is cut with one warning, and who is connected notices
    nothing of a hundred others that say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "REDIS_PREFIX": settings.redis_prefix,
        "HOST": "127.0.0.1",
        "PORT": str(port),
    }
    gateway = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (70, 100));"
        "os.execv(sys.executable, [sys.executable, '-m', 'gateway'])",
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with httpx.AsyncClient() as http:

            async def ready() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return (await http.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200
                return False

            await until(ready, 30)
        async with connect(port) as raw, contextlib.AsyncExitStack() as held:
            for _ in range(100):
                await held.enter_async_context(dial(port))
            for _ in range(5):
                await raw.send(frame('{"action":"ping"}'))
                assert (await raw.message())["type"] == "pong"
    finally:
        gateway.terminate()
        output, _ = await gateway.communicate()
    log = output.decode()
    assert gateway.returncode == 0, log
    assert len(re.findall("MAX_CONNECTIONS is cut", log)) == 1, log
    assert re.search(r"files\W+100\b", log), log
    assert len(re.findall(PAUSED, log)) == 1, log
    assert "Traceback" not in log
