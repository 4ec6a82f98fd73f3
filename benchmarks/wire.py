"""Bytes per client and minute on the real endpoints, with and without permessage-deflate, from `coinwire demo`.

The figures are those of the simulator, which change as real ones do. Clients of both kinds are connected to one gateway
at the same time, and must receive the same messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from benchmarks.install import ROOT
from benchmarks.processes import BenchmarkError, end, wait_for_port
from launcher.ports import LOOPBACK, free_ports
from shared.catalog import SERVICES

PATHS = ("/ws/all", "/ws/market_data")
_START_SECONDS = 90.0  # until each of the twelve services has published; the slowest does so once a minute


class Listener(asyncio.Protocol):
    """One client, which counts the bytes that it receives and keeps the updates."""

    def __init__(self, port: int, path: str, *, deflate: bool) -> None:
        extensions = [ClientPerMessageDeflateFactory()] if deflate else None
        self._protocol = ClientProtocol(parse_uri(f"ws://{LOOPBACK}:{port}{path}"), extensions=extensions)
        self._transport: asyncio.Transport | None = None
        self.bytes = 0
        self.updates: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._protocol.send_request(self._protocol.connect())
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Count, and decode with a real inflater."""
        self.bytes += len(data)
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                text = bytes(event.data).decode()
                if '"type":"update"' in text:
                    self.updates.append(text)
        self._flush()

    @property
    def deflated(self) -> bool:
        """Whether the server agreed to compress."""
        return bool(self._protocol.extensions)

    @property
    def services(self) -> set[str]:
        """Services of the updates so far."""
        return {json.loads(text)["service"] for text in self.updates}

    def fault(self) -> str | None:
        """Why it can't decode what came, or None."""
        error = self._protocol.parser_exc or self._protocol.handshake_exc
        return None if error is None else str(error)

    def close(self) -> None:
        """Leave."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        if self._transport is not None:
            for data in self._protocol.data_to_send():
                self._transport.write(data)


async def measure(first: float, later: float, log: Path) -> list[dict[str, Any]]:
    """A row per path and form: bytes per minute in the `first` seconds of a connection, and in the `later` ones.

    Raises BenchmarkError where a client can't decode, misses an update, or the cluster does not start.
    """
    async with _demo(log) as port:
        clients = {
            (path, deflate): Listener(port, path, deflate=deflate) for path in PATHS for deflate in (False, True)
        }
        await asyncio.gather(*(_connect(port, client) for client in clients.values()))
        await asyncio.sleep(first)
        early = {key: client.bytes for key, client in clients.items()}
        await asyncio.sleep(later)
        rows = [_row(key, client, early[key], first, later) for key, client in clients.items()]
        for path in PATHS:
            _compare(path, clients[path, False], clients[path, True])
        for client in clients.values():
            client.close()
    return rows


def _row(key: tuple[str, bool], client: Listener, early: int, first: float, later: float) -> dict[str, Any]:
    path, deflate = key
    return {
        "gateway": path + (", compressed" if deflate else ""),
        "deflated": client.deflated,
        "first_minute_bytes": early / first * 60,
        "minute_bytes": (client.bytes - early) / later * 60,
        "updates": len(client.updates),
    }


def _compare(path: str, plain: Listener, compressed: Listener) -> None:
    """Both received the same updates; the last one may still be under way to either."""
    if fault := plain.fault() or compressed.fault():
        raise BenchmarkError(f"a client of {path} can't decode what came: {fault}")
    both = min(len(plain.updates), len(compressed.updates))
    if sorted(plain.updates[: both - 1]) != sorted(compressed.updates[: both - 1]):
        raise BenchmarkError(f"clients of {path} received other updates with compression than without")


async def _connect(port: int, listener: Listener) -> None:
    await asyncio.get_running_loop().create_connection(lambda: listener, LOOPBACK, port)


@contextlib.asynccontextmanager
async def _demo(log: Path) -> AsyncIterator[int]:
    """The whole cluster in a folder of its own, once every service has published. Yields the port of a gateway."""
    port = free_ports(2)[0]  # the demo has two gateways
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    env |= {"PORT": str(port), "PYTHONPATH": str(ROOT), "WS_COMPRESSION": "true"}
    with tempfile.TemporaryDirectory() as folder, log.open("ab") as output:
        command = [sys.executable, "-m", "commands", "demo"]
        process = _started(command, env, folder, output)
        try:
            await asyncio.to_thread(wait_for_port, port, process)
            await _complete(port)
            yield port
        finally:
            await asyncio.to_thread(end, process)


def _started(command: Sequence[str], env: Mapping[str, str], folder: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


async def _complete(port: int) -> None:
    """Return once a newcomer gets an update of every service. Raises BenchmarkError after 90 s."""
    missing = set(SERVICES)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while missing:
                listener = Listener(port, "/ws/all", deflate=False)
                await _connect(port, listener)
                await asyncio.sleep(2)
                missing = set(SERVICES) - listener.services
                listener.close()
    if missing:
        raise BenchmarkError(f"the demo did not publish {', '.join(sorted(missing))} within {_START_SECONDS:.0f} s")
