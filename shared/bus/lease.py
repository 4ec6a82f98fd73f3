"""Lease: of all processes that could do a task, one does. A dead holder's lease passes on when it expires."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable

import structlog
from redis.asyncio import Redis

from shared.bus.client import REDIS_FAULTS, load_script, redis_call
from shared.channels import Channels
from shared.errors import BusError

log = structlog.get_logger()


class Lease:
    """The lease `name`, wanted by this process for as long as `hold` runs."""

    def __init__(
        self, redis: Redis, channels: Channels, name: str, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.owner = secrets.token_hex(8)
        self._keys = [channels.lease(name), channels.fence(name)]
        self._seconds = seconds
        self._clock = clock
        self._fence = 0
        self._until = float("-inf")
        self._answered_at = float("-inf")
        self._take = load_script(redis, "lease")
        self._give = load_script(redis, "lease_release")

    @property
    def fence(self) -> int:
        """The fence to publish with, or 0 while the lease is not held. It grows with every new holder."""
        return self._fence if self._clock() < self._until else 0

    @property
    def known(self) -> bool:
        """Whether Redis said lately who holds the lease, be it us or another."""
        return self._clock() - self._answered_at < self._seconds

    async def refresh(self) -> int:
        """Ask once: take the lease or keep it. Returns `fence`. Raises BusError."""
        asked = self._clock()
        async with redis_call(f"lease {self.name}"):
            fence = int(await self._take(keys=self._keys, args=[self.owner, int(self._seconds * 1000)]))
        self._fence, self._answered_at = fence, asked
        # Counted from before the question, so that we stop before Redis lets another in.
        self._until = asked + self._seconds if fence else float("-inf")
        return self.fence

    async def hold(self) -> None:
        """Keep asking until cancelled, then give the lease back."""
        state = ""
        try:
            while True:
                try:
                    await self.refresh()
                    now = "held" if self.fence else "standing by"
                except BusError as error:
                    now = f"unknown: {error}"  # our fence runs out by itself
                if now != state:
                    log.info("lease", lease=self.name, state=now)
                    state = now
                await asyncio.sleep(self._seconds / 4)
        finally:
            await self._release()

    async def _release(self) -> None:
        self._until = float("-inf")
        with contextlib.suppress(*REDIS_FAULTS):  # it expires by itself
            async with asyncio.timeout(1.0):
                await self._give(keys=self._keys[:1], args=[self.owner])
