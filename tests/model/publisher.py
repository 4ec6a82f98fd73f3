"""A worker of the model: the real Bus and Lease, and updates that count up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

from shared.bus import Bus, open_redis
from shared.bus.lease import Lease
from shared.catalog import SYSTEM
from shared.channels import Channels
from shared.errors import BusError, FencedError
from shared.settings import Settings
from tests.model.loop import Process, VirtualLoop
from tests.model.truth import Truth


class Publisher:
    """A worker process, which can be killed and started again. With `lease`, it publishes while it holds that."""

    def __init__(
        self,
        loop: VirtualLoop,
        dice: random.Random,
        truth: Truth,
        name: str,
        settings: Settings,
        numbers: Iterator[int],
        lease: str | None,
    ) -> None:
        self.name = name
        self.process: Process
        self.lease: Lease | None = None
        self._loop = loop
        self._dice = dice
        self._truth = truth
        self._settings = settings
        self._numbers = numbers
        self._lease_name = lease
        self._bus: Bus
        self._turns: dict[str, asyncio.Lock]
        self.start()

    def start(self) -> None:
        """Start the process."""
        self.process = Process(self._loop, self.name)
        self.process.call(self._build)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def publish(self, service: str) -> None:
        """Collect an update and publish it, unless another worker leads."""
        if self.process.alive:
            self.process.start(self._publish(service))

    @property
    def leads(self) -> bool:
        """Whether it may publish."""
        return self.process.alive and (self.lease is None or bool(self.lease.fence))

    def _build(self) -> None:
        settings, channels = self._settings, Channels(self._settings.redis_prefix)
        redis = open_redis(settings)
        self.process.close_at_end(redis.aclose)
        self._bus = Bus(redis, channels, settings.history_length, history_bytes=settings.history_bytes)
        self._turns = {}
        if self._lease_name is not None:
            self.lease = Lease(redis, channels, self._lease_name, settings.lease_seconds, clock=self._loop.time)
            self.process.start(self.lease.hold())

    async def _publish(self, service: str) -> None:
        async with self._turns.setdefault(service, asyncio.Lock()):  # a service publishes one update after another
            fence = 0
            if self.lease is not None and service != SYSTEM:
                fence = self.lease.fence
                if not fence:
                    return
            n = next(self._numbers)
            try:
                position = await self._bus.publish(service, {"n": n}, fence=fence)
            except BusError as error:
                if isinstance(error, FencedError) and self.lease is not None:
                    self.lease.refused(fence)
                self._truth.note(f"{self.name:9} n={n} is not confirmed: {error}")
                return
            self._truth.note(f"{self.name:9} n={n} is confirmed at {self._truth.place(service, position)}")
            self._truth.confirmed(service, position, n)
