"""`python -m benchmarks.attacks.watcher PORT`: the innocent. Writes what it has seen as JSON when its input ends.

It subscribes to everything in each of the three forms, asks for the readiness as a balancer does, connects anew twice
per second, and reads the bus itself: what comes late from there was delayed by this machine, not by the gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

import msgpack
import typer
import websockets

from shared.bus import Gap, Subscription, open_redis
from shared.catalog import CHANNEL_NAMES
from shared.channels import Channels
from shared.envelope import Envelope
from shared.metrics import BusMetrics, open_registry
from shared.settings import load_settings

FORMS = {"JSON": ("/ws/all", None), "JSON with meta": ("/ws/all?meta=1", None), "MessagePack": ("/ws/all", "msgpack")}
_CHECK_EVERY = 0.2
_JOIN_EVERY = 0.5
_PATIENCE = 10.0  # s for an answer, and for what is on its way at the end


class Watcher:
    """What the innocent sees. Times are seconds since the epoch, durations milliseconds."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stopped_at: float | None = None
        self._known: dict[tuple[str, str], int] = {}
        self.updates: list[tuple[float, float, str]] = []
        """When an update was published, how late it came, in which form."""
        self.direct: list[tuple[float, float]] = []
        """The same, straight from the bus."""
        self.health: list[tuple[float, float, int]] = []
        """When it was asked for, how long the answer took, its status; 0 without one."""
        self.joins: list[tuple[float, float, str]] = []
        """When a newcomer began to connect, how long until its first message, and its error."""
        self.events: list[tuple[float, str]] = []
        """Connections of the innocent that ended, and updates that never came."""
        self._begun: dict[str, asyncio.Event] = {form: asyncio.Event() for form in FORMS}
        self._done: dict[str, asyncio.Event] = {form: asyncio.Event() for form in FORMS}

    async def run(self) -> None:
        """Watch until the input ends."""
        tasks = [asyncio.create_task(self._innocent(form)) for form in FORMS]
        tasks += [asyncio.create_task(self._bus()), asyncio.create_task(self._periodically(_CHECK_EVERY, self._check))]
        tasks += [asyncio.create_task(self._periodically(_JOIN_EVERY, self._join))]
        await asyncio.gather(*(event.wait() for event in self._begun.values()))
        typer.echo("watching")
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        self._stopped_at = time.time()
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.gather(*(event.wait() for event in self._done.values()))
        except TimeoutError:
            late = 1000 * _PATIENCE
            self.updates += [(self._stopped_at, late, form) for form, done in self._done.items() if not done.is_set()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        names = ("updates", "direct", "health", "joins", "events")
        typer.echo(json.dumps({name: getattr(self, name) for name in names}))

    async def _innocent(self, form: str) -> None:
        path, subprotocol = FORMS[form]
        protocols = None if subprotocol is None else [websockets.Subprotocol(subprotocol)]
        decode = json.loads if subprotocol is None else msgpack.unpackb
        while True:
            try:
                async with websockets.connect(
                    f"ws://127.0.0.1:{self._port}{path}", subprotocols=protocols, compression=None, max_size=None
                ) as socket:
                    joined = time.time()
                    async for raw in socket:
                        self._take(form, decode(raw), joined)
                self.events.append((time.time(), f"closed {socket.close_code}"))
            except (OSError, websockets.WebSocketException) as error:
                self.events.append((time.time(), f"lost: {type(error).__name__}"))
                await asyncio.sleep(0.1)

    def _take(self, form: str, message: dict[str, Any], joined: float) -> None:
        data = message["data"]
        if message["type"] != "update" or "sent_ns" not in data:
            return
        now, sent, key = time.time(), data["sent_ns"] / 1e9, (form, message["service"])
        known, self._known[key] = self._known.get(key), data["n"]
        if known is not None and data["n"] > known + 1:
            self.events.append((sent, f"{data['n'] - known - 1} updates missed"))
        if sent > joined:  # else it is the newest, which came with the confirmation
            self.updates.append((sent, 1000 * (now - sent), form))
            self._begun[form].set()
        if self._stopped_at is not None and sent > self._stopped_at:
            self._done[form].set()

    async def _bus(self) -> None:
        settings = load_settings(())
        began = time.time()

        def take(envelope: Envelope, _raw: bytes, _gap: Gap | None) -> None:
            sent = envelope.data.get("sent_ns", 0) / 1e9
            if sent > began:
                self.direct.append((sent, 1000 * (time.time() - sent)))

        subscription = Subscription(
            open_redis(settings),
            Channels(settings.redis_prefix),
            CHANNEL_NAMES,
            "watcher",
            deadline=6.0,
            metrics=BusMetrics(open_registry()),
        )
        await subscription.run(take)

    async def _periodically(self, every: float, act: Any) -> None:
        """Begin `act` at a fixed rate, whether or not the one before has ended."""
        async with asyncio.TaskGroup() as group:
            while True:
                if self._stopped_at is None:
                    group.create_task(act(time.time()))
                await asyncio.sleep(every)

    async def _check(self, began: float) -> None:
        status = 0
        with contextlib.suppress(OSError, TimeoutError, ValueError, IndexError):
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    writer.write(b"GET /health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    status = int((await reader.read()).split(None, 2)[1])
                finally:
                    writer.transport.abort()
        self.health.append((began, 1000 * (time.time() - began), status))

    async def _join(self, began: float) -> None:
        error = ""
        try:
            async with asyncio.timeout(_PATIENCE):
                async with websockets.connect(f"ws://127.0.0.1:{self._port}/ws/data", compression=None) as socket:
                    await socket.recv()
        except (OSError, websockets.WebSocketException) as fault:
            error = type(fault).__name__
        self.joins.append((began, 1000 * (time.time() - began), error))


if __name__ == "__main__":
    asyncio.run(Watcher(int(sys.argv[1])).run())
