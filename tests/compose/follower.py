"""Clients of the balancer: one that recovers after each reconnect, and one that connects again and again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections import defaultdict
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from shared.catalog import SERVICES
from tests.waiting import until

_PAUSE = 0.5  # s, longest pause before a new attempt, with jitter


class Follower:
    """Subscribed to all services; after every reconnect it requests the missed updates."""

    def __init__(self, url: str, services: Iterable[str] = SERVICES) -> None:
        self.url = url
        self.services = tuple(services)
        self.seen: dict[str, list[tuple[str, int]]] = defaultdict(list)
        """By service, the (epoch, seq) of every update, in the order of their arrival."""
        self.unrecovered: list[str] = []
        """Services whose continuity the server could not prove."""
        self.codes: list[int | None] = []
        """How connections ended: the close code, None where there was none."""
        self.connects = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Follower:
        self._task = asyncio.create_task(self._follow())
        await until(lambda: self.connects > 0, 30)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _follow(self) -> None:
        while True:
            try:
                async with connect(self.url, open_timeout=10) as socket:
                    for service in self.services:
                        await socket.send(json.dumps(self._subscribe(service)))
                    self.connects += 1
                    async for text in socket:
                        self._take(json.loads(text))
                    self.codes.append(socket.close_code)
            except ConnectionClosed as closed:
                self.codes.append(closed.rcvd.code if closed.rcvd else None)
            except (OSError, TimeoutError, InvalidHandshake):
                pass  # no gateway yet
            pause = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(random.uniform(0.1, _PAUSE), pause.set_result, None)
            await pause

    def _subscribe(self, service: str) -> dict[str, Any]:
        command: dict[str, Any] = {"action": "subscribe", "service": service, "id": service}
        if self.seen[service]:
            epoch, seq = self.seen[service][-1]
            command["since"] = {"epoch": epoch, "seq": seq}
        return command

    def _take(self, message: dict[str, Any]) -> None:
        service, data = message["service"], message["data"]
        if message["type"] == "update":
            self.seen[service].append((message["meta"]["epoch"], message["meta"]["seq"]))
        elif message["type"] == "subscription_confirmed" and data.get("recovered") is False:
            self.unrecovered.append(data["id"])
        assert message["type"] != "error", message

    def count(self, service: str) -> int:
        """Updates of a service so far."""
        return len(self.seen[service])

    async def more(self, services: Iterable[str], updates: int = 1, seconds: float = 100.0) -> None:
        """Wait until each of `services` has had `updates` more updates."""
        wanted = {service: self.count(service) + updates for service in services}
        try:
            await until(lambda: all(self.count(service) >= least for service, least in wanted.items()), seconds)
        except AssertionError:
            late = sorted(service for service, least in wanted.items() if self.count(service) < least)
            raise AssertionError(f"no {updates} more updates of {late} within {seconds:g} s") from None

    async def reconnected(self, seconds: float = 60.0) -> None:
        """Wait until it is connected once more than now."""
        connects = self.connects
        await until(lambda: self.connects > connects, seconds)

    def lost(self) -> list[str]:
        """Updates that are missing, doubled or out of order; empty if every seq came once, in one epoch."""
        faults = [f"{service}: continuity not proven" for service in self.unrecovered]
        for service, positions in self.seen.items():
            for (epoch, seq), (next_epoch, next_seq) in itertools.pairwise(positions):
                if (next_epoch, next_seq) != (epoch, seq + 1):
                    faults.append(f"{service}: {next_epoch}/{next_seq} after {epoch}/{seq}")
        return faults


class Newcomers:
    """Clients that come one after another, each for its greeting only."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.greeted = 0
        self.refused: list[str] = []
        """How it went for those who were not let in at once."""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Newcomers:
        self._task = asyncio.create_task(self._come())
        await until(lambda: self.greeted > 0, 30)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _come(self) -> None:
        while True:
            try:
                async with connect(self.url, open_timeout=10) as socket:
                    await socket.recv()
                self.greeted += 1
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
                self.refused.append(f"{type(error).__name__}: {error}")
