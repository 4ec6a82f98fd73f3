"""Clients that compress: Python's websockets, Node's ws and Chromium, early and late, beside a plain one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from shared.settings import Settings
from tests.contract.conftest import Cluster, running
from tests.gateway.browsing import needs_chromium, open_page
from tests.waiting import until

NODE = Path(__file__).parents[1] / "node"
COINS = [f"coin-{number}" for number in range(60)]
RAW, SEVERAL, FULL = 5, 3, 24
"""Updates of about 4 kB each: before the late clients come, at once, and as many as fill a window twice."""

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (NODE / "node_modules" / "ws").is_dir(),
    reason="needs node and its ws package (make node-modules)",
)


def figures(number: int) -> dict[str, Any]:
    """Prices and volumes that move a little from one update to the next."""
    draw = random.Random(number)
    return {
        "n": number,
        "prices": {coin: 1000 + number + round(draw.random(), 4) for coin in COINS},
        "volumes": {coin: 10_000_000 + draw.randrange(9) for coin in COINS},
    }


class Reader:
    """A client of market_data that keeps its updates."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.updates: list[Any] = []
        self.others: list[Any] = []
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for data in self.connection:
                message = msgpack.unpackb(data) if isinstance(data, bytes) else json.loads(data)
                (self.updates if message["type"] == "update" else self.others).append(message)

    async def close(self) -> None:
        await self.connection.close()
        await self._task


@contextlib.asynccontextmanager
async def reading(cluster: Cluster, path: str = "/ws/market_data", **options: Any) -> AsyncIterator[Reader]:
    """A client, until the block ends."""
    reader = Reader(await websockets.connect(cluster.url(path, scheme="ws"), **options))
    try:
        await until(lambda: any(each["type"] == "subscription_confirmed" for each in reader.others))
        yield reader
    finally:
        await reader.close()


async def publish(cluster: Cluster, first: int, count: int) -> None:
    for number in range(first, first + count):
        await cluster.publish("market_data", **figures(number))


def extension(reader: Reader) -> str | None:
    response: Any = reader.connection.response
    answered: str | None = response.headers.get("Sec-WebSocket-Extensions")
    return answered


@pytest.fixture(params=[True, False], ids=["joined", "one by one"])
async def joining(request: pytest.FixtureRequest, settings: Settings) -> AsyncIterator[Cluster]:
    """A cluster that joins the updates of a turn, and one that does not."""
    async with running(settings.model_copy(update={"ws_join_updates": request.param})) as found:
        yield found


OFFERS = {
    "default": ClientPerMessageDeflateFactory(),
    "no takeover": ClientPerMessageDeflateFactory(server_no_context_takeover=True),
    **{str(bits): ClientPerMessageDeflateFactory(server_max_window_bits=bits) for bits in range(9, 16)},
}


async def test_clients_with_every_window_receive_what_a_plain_client_does(joining: Cluster) -> None:
    """Whoever is early, late or both at once, with replies, another subscription and its end in between."""
    async with contextlib.AsyncExitStack() as stack:

        async def add(offer: ClientPerMessageDeflateFactory | None, **options: Any) -> Reader:
            extensions = None if offer is None else [offer]
            client = reading(joining, compression=None, extensions=extensions, **options)
            return await stack.enter_async_context(client)

        plain = await add(None)
        early = {name: await add(offer) for name, offer in OFFERS.items()}
        assert extension(plain) is None
        assert extension(early["9"]) == "permessage-deflate; server_max_window_bits=9; client_no_context_takeover"
        await publish(joining, 0, RAW)
        late = {name: await add(offer) for name, offer in OFFERS.items()}
        packed = await add(OFFERS["default"], subprotocols=["msgpack"])
        gone = late.pop("12")
        await publish(joining, RAW, SEVERAL)
        for client in (early["default"], late["default"]):
            for action in ("subscribe", "ping", "unsubscribe"):
                await client.connection.send(json.dumps({"action": action, "service": "system"}))
        await gone.close()
        await publish(joining, RAW + SEVERAL, FULL)
        total = RAW + SEVERAL + FULL
        for client in (plain, *early.values(), *late.values(), packed):
            expected = total if client in (plain, *early.values()) else total - RAW + 1  # with the latest one
            await until(lambda client=client, expected=expected: len(client.updates) >= expected)
        assert [update["data"]["n"] for update in plain.updates] == list(range(total))
        for client in early.values():
            assert client.updates == plain.updates
        for client in late.values():
            assert client.updates == plain.updates[RAW - 1 :]
        assert [update["data"] for update in packed.updates] == [each["data"] for each in plain.updates[RAW - 1 :]]
        assert joining.nodes[0].hub.streams == 2  # JSON and MessagePack


async def test_a_recovered_client_goes_on_compressed(cluster: Cluster) -> None:
    """A replay comes between updates that are compressed; nothing is missing, and nothing comes twice."""
    async with reading(cluster, "/ws/market_data?meta=1") as steady:
        await publish(cluster, 0, 10)
        await until(lambda: len(steady.updates) == 10)
        meta = steady.updates[2]["meta"]
        async with reading(cluster, "/ws/market_data?meta=1") as back:
            since = {"epoch": meta["epoch"], "seq": meta["seq"]}
            await back.connection.send(json.dumps({"action": "subscribe", "service": "market_data", "since": since}))
            await publish(cluster, 10, FULL)
            await until(lambda: bool(back.updates) and back.updates[-1]["data"]["n"] == 10 + FULL - 1)
            numbers = [update["data"]["n"] for update in back.updates]
            assert numbers == [9, *range(3, 10 + FULL)]  # the automatic subscription's latest update comes first


async def test_compression_can_be_switched_off(settings: Settings) -> None:
    """With WS_COMPRESSION=false, whoever offers it is served plainly."""
    async with running(settings.model_copy(update={"ws_compression": False})) as cluster, reading(cluster) as client:
        assert extension(client) is None
        await publish(cluster, 0, 2)
        await until(lambda: len(client.updates) == 2)


PROGRAM = """
const report = new WebSocket("REPORT");
report.onopen = () => {
  const socket = new WebSocket("GATEWAY");
  socket.onopen = () => report.send(JSON.stringify({type: "open", data: socket.extensions}));
  socket.onmessage = (event) => report.send(event.data);
  socket.onclose = (event) => report.send(JSON.stringify({type: "closed", data: event.code}));
};
"""


async def run_node(program: str, folder: Path) -> asyncio.subprocess.Process:
    """Node, whose WebSocket is that of `ws`."""
    (folder / "program.cjs").write_text(program)
    return await asyncio.create_subprocess_exec("node", "-r", str(NODE / "websocket.cjs"), folder / "program.cjs")


@pytest.mark.parametrize(
    "run", [pytest.param(run_node, marks=needs_node), pytest.param(open_page, marks=needs_chromium)]
)
async def test_node_and_chromium_receive_what_a_plain_client_does(cluster: Cluster, tmp_path: Path, run: Any) -> None:
    """Coming late, they go from updates that are compressed alone to the stream, and decode each."""
    reported: list[Any] = []

    async def take(connection: websockets.ServerConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                reported.append(json.loads(await connection.recv()))

    def updates() -> list[Any]:
        return [each for each in reported if each["type"] == "update"]

    async with (
        websockets.serve(take, "127.0.0.1", 0, compression=None) as server,
        reading(cluster, compression=None) as plain,
        reading(cluster) as early,
    ):
        await publish(cluster, 0, RAW)
        port = next(iter(server.sockets)).getsockname()[1]
        program = PROGRAM.replace("REPORT", f"ws://127.0.0.1:{port}")
        process = await run(program.replace("GATEWAY", cluster.url("/ws/market_data", scheme="ws")), tmp_path)
        try:
            await until(lambda: bool(updates()) or process.returncode is not None, 60)
            await publish(cluster, RAW, FULL)
            await until(lambda: len(updates()) == FULL + 1 or process.returncode is not None, 30)
            await until(lambda: len(early.updates) == len(plain.updates) == RAW + FULL)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill() if run is run_node else os.killpg(process.pid, 9)
            await process.wait()
    assert reported[0]["data"].split(";")[0] == "permessage-deflate"
    assert updates() == plain.updates[RAW - 1 :]
    assert early.updates == plain.updates
    assert [each for each in reported if each["type"] == "closed"] == []
