"""What a worker says of itself over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from launcher.ports import free_port
from launcher.redis_server import RedisServer
from shared.metrics import open_registry
from shared.settings import Settings
from tests.waiting import until
from workers.status import Status
from workers.worker import Worker


class Asked(httpx.Client):
    """Asks a worker on this host; every request has a connection of its own, as a health check's has."""

    def __init__(self, port: int) -> None:
        super().__init__(base_url=f"http://127.0.0.1:{port}", headers={"Connection": "close"}, timeout=5)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def reasons() -> list[str]:
    """Why the worker is not ready; empty where it is."""
    return []


@pytest.fixture
def clock() -> Clock:
    """The clock of `status`."""
    return Clock()


@pytest.fixture
def asked(reasons: list[str], clock: Clock) -> Iterator[Asked]:
    """A status that is served, and who asks it."""
    status = Status(open_registry(), lambda: list(reasons), clock)
    with Asked(status.serve("127.0.0.1", 0)) as client:
        yield client
    status.close()


def test_a_worker_that_works_is_live_and_ready(asked: Asked) -> None:
    """200 in the form that gateways answer in, and metrics as Prometheus reads them."""
    assert asked.get("/health/live").json() == {"status": "live", "reasons": []}
    assert asked.get("/health/ready").json() == {"status": "ready", "reasons": []}
    metrics = asked.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "process_resident_memory_bytes" in metrics.text


def test_not_ready_says_why_and_is_still_live(asked: Asked, reasons: list[str]) -> None:
    """503 with the reasons."""
    reasons.append("stopping")
    answer = asked.get("/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "reasons": ["stopping"]})
    assert asked.get("/health/live").status_code == 200


def test_a_loop_that_hangs_is_told_although_it_can_not_answer(asked: Asked, clock: Clock) -> None:
    """After five seconds without a turn of the loop the worker is neither live nor ready."""
    clock.now += 4.9
    assert asked.get("/health/live").status_code == 200
    clock.now += 0.2
    for path in ("/health/live", "/health/ready"):
        answer = asked.get(path)
        assert answer.status_code == 503
        assert answer.json()["reasons"] == ["the event loop has not turned for 5 s"]


async def test_a_loop_that_is_blocked_is_noticed_and_forgiven(clock: Clock) -> None:
    """Not live while something holds the loop, live again once it is let go."""
    held, released = threading.Event(), threading.Event()

    def block() -> None:
        held.set()
        released.wait()

    status = Status(open_registry(), list, clock)
    loop = asyncio.new_event_loop()
    turning = loop.create_task(status.run())
    turning.add_done_callback(lambda _: loop.stop())
    loop.call_soon(block)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with Asked(status.serve("127.0.0.1", 0)) as client:
            assert held.wait(10)
            assert client.get("/health/live").status_code == 200
            clock.now += 6
            assert client.get("/health/live").status_code == 503
            assert client.get("/health/ready").status_code == 503
            released.set()
            await until(lambda: client.get("/health/live").status_code == 200)
    finally:
        released.set()
        loop.call_soon_threadsafe(turning.cancel)
        thread.join()
        loop.close()
        status.close()


async def test_a_turning_loop_is_noticed(clock: Clock) -> None:
    """`run` proves it each second."""
    status = Status(open_registry(), list, clock)
    port = status.serve("127.0.0.1", 0)
    clock.now += 60
    turning = asyncio.create_task(status.run())
    try:
        with Asked(port) as client:
            await until(lambda: client.get("/health/live").status_code == 200)
    finally:
        turning.cancel()
        await asyncio.gather(turning, return_exceptions=True)
        await asyncio.to_thread(status.close)


def test_other_paths_and_methods_are_refused(asked: Asked) -> None:
    """404, and 405 with what is allowed."""
    assert asked.get("/").status_code == 404
    refused = asked.post("/health/live")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")


def test_a_client_that_says_nothing_keeps_nobody_waiting(asked: Asked) -> None:
    """Each client is answered in a separate thread."""
    with socket.create_connection((asked.base_url.host, asked.base_url.port or 0)):
        assert asked.get("/health/live").status_code == 200
    assert any(thread.name == "status" and thread.daemon for thread in threading.enumerate())


def test_with_too_many_connections_the_oldest_gives_way(asked: Asked) -> None:
    """Sixteen silent clients can't block a health check: the oldest connection is closed for a new one."""
    with contextlib.ExitStack() as stack:
        address = (asked.base_url.host, asked.base_url.port or 0)
        silent = [stack.enter_context(socket.create_connection(address)) for _ in range(16)]
        assert asked.get("/health/live").status_code == 200
        silent[0].settimeout(2)  # less than what a slow client is given anyway
        assert silent[0].recv(1) == b""


def test_clients_that_leave_in_the_middle_are_no_news(asked: Asked, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither a reset nor a request that was never sent leaves a line on stderr."""
    address = (asked.base_url.host, asked.base_url.port or 0)
    for said in (b"", b"GET /metr", b"GET /metrics HTTP/1.1\r\n\r\n", b"\x16\x03\x01 nonsense\r\n\r\n"):
        with socket.create_connection(address) as client:
            client.sendall(said)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
    assert asked.get("/health/live").status_code == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
async def test_a_client_that_is_slow_is_cut_off(asked: Asked, capfd: pytest.CaptureFixture[str]) -> None:
    """A client that has not finished after five seconds is disconnected, even if it is making progress."""
    with socket.create_connection((asked.base_url.host, asked.base_url.port or 0)) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")

        def cut_off() -> bool:
            try:
                client.sendall(b"x")
            except OSError:
                return True
            return False

        await until(cut_off, 10)
    assert capfd.readouterr() == ("", "")


def test_an_ipv6_address_will_do() -> None:
    """HOST may be one."""
    status = Status(open_registry(), list)
    port = status.serve("::1", 0)
    assert httpx.get(f"http://[::1]:{port}/health/live").status_code == 200
    status.close()


@pytest.fixture
async def working(settings: Settings, tmp_path: Path) -> AsyncIterator[tuple[Asked, RedisServer]]:
    """A worker of the category that asks nobody but Redis, and its Redis, which the test may kill."""
    redis = RedisServer(tmp_path / "redis").start()
    port = free_port()
    changes = {"redis_url": redis.url, "worker_metrics_port": port, "lease_seconds": 1.0}
    worker = Worker(Settings.model_validate({**settings.model_dump(), **changes}), "monitoring")
    worker.serve_status()
    running = asyncio.create_task(worker.run())
    try:
        with Asked(port) as client:
            yield client, redis
    finally:
        redis.start() if redis.process is None or redis.process.poll() is not None else None
        worker._stop.set()
        assert await running == 0
        redis.stop()


async def test_without_redis_a_worker_is_not_ready_and_with_it_again_it_is(
    working: tuple[Asked, RedisServer],
) -> None:
    """Readiness is that Redis says who holds the lease; liveness does not depend on it."""
    client, redis = working

    async def status() -> int:
        return (await asyncio.to_thread(client.get, "/health/ready")).status_code

    async def ready() -> bool:
        return await status() == 200

    async def unready() -> bool:
        return await status() == 503

    await until(ready)
    redis.kill()
    await until(unready)
    answer = await asyncio.to_thread(client.get, "/health/ready")
    assert answer.json()["reasons"] == ["Redis does not say who holds the lease"]
    assert (await asyncio.to_thread(client.get, "/health/live")).status_code == 200
    redis.start()
    await until(ready, 20)
