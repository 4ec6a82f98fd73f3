"""Broadcast of one update to many clients: our prebuilt frames against `websocket.send` of ASGI, in one run.

Both go through real sockets: N clients connect to a gateway-like server on loopback and read all messages. The
benchmark measures the server's CPU time per broadcast (`time.process_time`); the clients run in another process. Quote
the ratio: it does not depend on the speed of the machine.

    python -m benchmarks.broadcast [--clients 500] [--updates 40]
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import sys
import time
from typing import Any, cast

import typer
import uvicorn
from rich.console import Console
from rich.table import Table
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.frames import Form, Update
from gateway.transport.ws_protocol import EXTENSION, FrameProtocol
from shared.envelope import Envelope, pack_draft

_COINS = 100

_CLIENTS = """
import asyncio, sys, websockets
async def client(url):
    async with websockets.connect(url, compression=None, max_size=None, ping_interval=None) as connection:
        async for _ in connection:
            pass
async def main(url, count):
    await asyncio.gather(*(client(url) for _ in range(count)), return_exceptions=True)
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def sample() -> dict[str, Any]:
    """An update of the size of `market_data`: four maps of a hundred coins."""
    figures = {f"some-coin-{n}": 1234.5678 + n for n in range(_COINS)}
    maps = dict.fromkeys(("prices", "volumes", "market_caps", "price_changes"), figures)
    return {**maps, "source": "benchmark", "timestamp": "2025-11-11T10:30:00.000Z"}


async def measure(clients: int, updates: int) -> tuple[list[float], list[float]]:
    """CPU seconds of each broadcast, alternately by ASGI send and by prebuilt frames."""
    connected: dict[WebSocket, FrameProtocol] = {}
    everybody = asyncio.Event()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        connected[websocket] = cast(FrameProtocol, websocket.scope["extensions"][EXTENSION])
        if len(connected) == clients:
            everybody.set()
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            connected.pop(websocket, None)

    listener = socket.create_server(("127.0.0.1", 0), backlog=clients)
    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    config = uvicorn.Config(app, ws=FrameProtocol, log_level="warning", ws_per_message_deflate=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    port = listener.getsockname()[1]
    peers = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CLIENTS, f"ws://127.0.0.1:{port}/", str(clients)
    )
    async with asyncio.timeout(60):
        await everybody.wait()

    data = sample()
    raw = pack_draft("market_data", data, "2025-11-11T10:30:00.000Z")
    by_send: list[float] = []
    by_frame: list[float] = []
    for seq in range(1, updates + 1):
        envelope = Envelope("market_data", "update", data, "2025-11-11T10:30:00.000Z", "e", seq)

        began = time.process_time()
        text = Update(envelope, raw).frame(Form.TEXT).payload.decode()
        await asyncio.gather(*(websocket.send_text(text) for websocket in connected))
        by_send.append(time.process_time() - began)
        await asyncio.sleep(0.05)  # lets the clients empty their sockets

        began = time.process_time()
        frame = Update(envelope, raw).frame(Form.TEXT)
        for protocol in connected.values():
            protocol.write_buffer(frame)
        by_frame.append(time.process_time() - began)
        await asyncio.sleep(0.05)

    server.should_exit = True
    peers.terminate()
    await asyncio.gather(serving, peers.wait())
    return by_send, by_frame


def main(clients: int = 500, updates: int = 40) -> None:
    """Print both medians and their ratio."""
    by_send, by_frame = asyncio.run(measure(clients, updates))
    table = Table(title=f"one update of {_COINS} coins to {clients} clients: server CPU, milliseconds")
    for heading in ("", "median", "min", "max"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, times in (("websocket.send (ASGI)", by_send), ("prebuilt frames", by_frame)):
        table.add_row(name, *(f"{1000 * figure:.2f}" for figure in (statistics.median(times), min(times), max(times))))
    Console().print(table)
    ratio = statistics.median(a / b for a, b in zip(by_send, by_frame, strict=True))
    Console().print(f"websocket.send / prebuilt frames, median of {updates} pairs: {ratio:.2f}")


if __name__ == "__main__":
    typer.run(main)
