"""What a delivery costs on an event stream, beside a WebSocket that shows `meta`: `python -m benchmarks.streams`.

One gateway on a core of its own serves first the one kind of client, then the other, in turn. Both receive the same
JSON uncompressed, one update per turn of the loop. The ratio is that of the gateway's processor time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.processes import cpu_seconds, two_cores
from launcher.ports import free_port
from launcher.redis_server import RedisServer
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings

CLIENTS, UPDATES, PER_SECOND, BYTES, ROUNDS = 500, 300, 50.0, 512, 3

_MARK = b'"type":"update"'
_WEBSOCKET = (
    b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    + b"A" * 22
    + b"=="
)
REQUESTS = {
    "WebSocket": b"GET /ws/news?meta=1 HTTP/1.1\r\nHost: gateway" + _WEBSOCKET + b"\r\n\r\n",
    "event stream": b"GET /api/v1/stream/news HTTP/1.1\r\nHost: gateway\r\n\r\n",
}


def read(port: int, request: bytes, expected: int, ready: Connection) -> None:
    """Open CLIENTS connections, and read until each has had `expected` updates."""
    selector = selectors.DefaultSelector()
    confirmed = had = 0
    left: dict[socket.socket, bytes] = {}
    for _ in range(CLIENTS):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(request)
        selector.register(client, selectors.EVENT_READ)
        left[client] = b""
    while had < CLIENTS * expected:
        for key, _ in selector.select():
            client = key.fileobj  # type: ignore[assignment]
            data = left[client] + client.recv(1 << 18)
            had += data.count(_MARK)
            if confirmed < CLIENTS and b'"type":"subscription_confirmed"' in data:
                confirmed += 1
                if confirmed == CLIENTS:
                    ready.send(None)
            left[client] = data[-len(_MARK) + 1 :]
    ready.send(None)


async def measure(kind: str, port: int, gateway: int, bus: Bus) -> float:
    """Seconds of processor time per delivery."""
    ours, theirs = multiprocessing.Pipe()
    # Everybody who subscribes is sent the newest update first.
    reader = multiprocessing.Process(target=read, args=(port, REQUESTS[kind], UPDATES + 1, theirs), daemon=True)
    reader.start()
    await asyncio.to_thread(ours.recv)
    await asyncio.sleep(0.5)
    before, began = sum(cpu_seconds(gateway)), time.perf_counter()
    for number in range(UPDATES):
        await bus.publish("news", {"n": number, "pad": "x" * BYTES})
        await asyncio.sleep(max(0.0, began + (number + 1) / PER_SECOND - time.perf_counter()))
    await asyncio.to_thread(ours.recv)
    spent = sum(cpu_seconds(gateway)) - before
    reader.join()
    return spent / (UPDATES * CLIENTS)


async def compare(server: RedisServer, port: int, gateway: int) -> dict[str, list[float]]:
    """The costs of both kinds, measured in turn."""
    settings = Settings(_env_file=None, redis_url=server.url)  # type: ignore[call-arg, arg-type]
    redis = open_redis(settings)
    bus = Bus(redis, Channels(settings.redis_prefix), settings.history_length)
    found: dict[str, list[float]] = {kind: [] for kind in REQUESTS}
    await bus.publish("news", {"n": -1})
    for _ in range(ROUNDS):
        for kind, costs in found.items():
            costs.append(await measure(kind, port, gateway, bus))
    await redis.aclose()
    return found


def wait_for(url: str) -> None:
    """Wait until a gateway is ready. Raises OSError after 30 s."""
    end = time.monotonic() + 30.0
    while True:
        try:
            urllib.request.urlopen(url).close()  # noqa: S310 - our own gateway
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def main() -> None:
    """Measure both kinds, and print them."""
    core, others = two_cores()
    os.sched_setaffinity(0, {others})
    with tempfile.TemporaryDirectory() as folder:
        server, port = RedisServer(Path(folder)).start(), free_port()
        env = {**os.environ, "REDIS_URL": server.url, "HOST": "127.0.0.1", "PORT": str(port)}
        gateway = subprocess.Popen([sys.executable, "-m", "gateway"], env=env, stderr=subprocess.DEVNULL)
        os.sched_setaffinity(gateway.pid, {core})
        try:
            wait_for(f"http://127.0.0.1:{port}/health/ready")
            found = asyncio.run(compare(server, port, gateway.pid))
        finally:
            gateway.terminate()
            gateway.wait()
            server.stop()
    for kind, costs in found.items():
        each = ", ".join(f"{cost * 1e6:.2f}" for cost in costs)
        print(f"{kind}: {statistics.median(costs) * 1e6:.2f} µs per delivery ({each})")
    stream, websocket = (statistics.median(found[kind]) for kind in ("event stream", "WebSocket"))
    print(f"an event stream costs {stream / websocket:.2f} times as much")


if __name__ == "__main__":
    main()
