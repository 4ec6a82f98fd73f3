"""Heartbeat: what the gateway has sent of each service, for the subscribers of `system`.

A client that compares it with what it received knows that it missed nothing. Every gateway makes its own, so that a
heartbeat also comes while Redis or all workers are down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

from gateway.broadcast.hub import Hub
from gateway.messages.message import Message
from gateway.updates import Update
from shared.catalog import SERVICES, STALE_INTERVALS, SYSTEM
from shared.envelope import UPDATE
from shared.payloads import Heartbeat
from shared.payloads.system import Pulse
from shared.timestamps import iso

HEARTBEAT_SECONDS = 5.0  # the shortest interval of a service: a client notices a missed update before the next but one


class Heart:
    """Sends heartbeats. `run` is its only task."""

    def __init__(self, hub: Hub, interval: float, clock: Callable[[], float] = time.time) -> None:
        """A heartbeat every `interval` seconds; `clock` is that of `published_at`."""
        self._hub = hub
        self._interval = interval
        self._clock = clock
        self._began = clock()

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            self.beat()

    def beat(self) -> None:
        """Send one."""
        now = self._clock()
        services = {name: self._pulse(name, now) for name in self._hub.recent}
        ages = {name: pulse.age_seconds for name, pulse in services.items()}
        published = {name: iso(now - age) for name, age in ages.items() if age is not None}
        data = Heartbeat(event="heartbeat", services=services, timestamp=iso(now), as_of=published)
        self._hub.announce(Message(service=SYSTEM, type=UPDATE, data=data, timestamp=iso(now)))

    def _pulse(self, service: str, now: float) -> Pulse:
        recent, spec = self._hub.recent[service], SERVICES.get(service)
        age = _age(recent.latest, now)
        silent = now - self._began if age is None else age
        epoch, seq = recent.position
        stale = spec is not None and silent > STALE_INTERVALS * spec.interval
        return Pulse(epoch=epoch, seq=seq, age_seconds=age, stale=stale)


def _age(latest: Update | None, now: float) -> float | None:
    """Seconds since `latest` was published. Others may write to Redis, too: a time that can't be read is no age."""
    try:
        published = None if latest is None else datetime.fromisoformat(latest.published_at).timestamp()
    except (ValueError, OverflowError):
        return None
    return None if published is None else round(max(0.0, now - published), 3)
