"""A subscription that a test listens with."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any

from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from shared.bus import Gap, Subscription
from shared.channels import Channels
from shared.envelope import Envelope
from shared.metrics import BusMetrics
from tests.waiting import until

SERVICE = "market_data"


class Listener:
    """Runs a Subscription and keeps what it delivers. `options` are the Subscription's."""

    def __init__(
        self, redis: Redis, channels: Channels, services: tuple[str, ...] = (SERVICE,), **options: Any
    ) -> None:
        self._registry = CollectorRegistry()
        self.subscription = Subscription(
            redis,
            channels,
            services,
            "listener",
            metrics=BusMetrics(self._registry),
            **{"deadline": 5.0} | options,
        )
        self.heard: list[Envelope] = []
        self.raw: list[bytes] = []
        self.gaps: list[Gap | None] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Listener:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Run, and continue where it stopped."""
        self._task = asyncio.create_task(self.subscription.run(self._deliver))

    async def stop(self) -> None:
        """Stop, and fail if it had died."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _deliver(self, envelope: Envelope, raw: bytes, gap: Gap | None) -> None:
        self.heard.append(envelope)
        self.gaps.append(gap)
        self.raw.append(raw)

    @property
    def numbers(self) -> list[int]:
        """The `n` of every update heard: what was published, in the order of hearing."""
        return [envelope.data["n"] for envelope in self.heard]

    @property
    def seqs(self) -> list[int]:
        """The seq of every update heard."""
        return [envelope.seq for envelope in self.heard]

    def count(self, name: str, service: str | None = SERVICE) -> float:
        """A counter of the subscription; of a service, unless that is None."""
        labels = {} if service is None else {"service": service}
        return self._registry.get_sample_value(f"coinwire_bus_{name}_total", labels) or 0.0

    async def proven(self, deadline: float = 10.0) -> Listener:
        """Wait until delivery is proven."""
        await until(lambda: self.subscription.proven, deadline)
        return self

    async def hears(self, *numbers: int, deadline: float = 15.0) -> None:
        """Wait for as many updates, then demand that they are these and no others."""
        await until(lambda: len(self.heard) >= len(numbers), deadline)
        assert self.numbers == list(numbers)
