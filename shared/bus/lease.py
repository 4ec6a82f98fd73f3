"""Lease: one of several processes does a task. If it dies, its lease expires and another takes over."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable

import structlog
from redis.asyncio import Redis

from shared.bus.client import REDIS_FAULTS, command_deadline, load_script, of_other_type, redis_call
from shared.bus.cluster import Cluster
from shared.catalog import of_category
from shared.channels import Channels
from shared.errors import BusError, FencedError

log = structlog.get_logger()

_RENEW = 1.0  # s between two renewals by the holder, or a third of a shorter lease: two may fail before it expires
_ASK = 0.5  # s between two questions of one who stands by, and after a question that failed
_HANDOVER_MS = 1000  # for one who was not waiting at that moment: twice as long as anybody looks away


class Lease:
    """The lease `name`. This process competes for it while `hold` runs.

    Taking the lease of a category shuts its earlier holders out of every service of that category (ADR 29).
    """

    def __init__(
        self, redis: Redis, channels: Channels, name: str, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.owner = secrets.token_hex(8)
        self._redis = redis
        self._keys = [channels.lease(name), channels.fence(name)]
        self._metas = [channels.meta(service) for service in of_category(name)]
        # A script may touch one slot only, and each service has its own: there the fences are raised one by one.
        self._one_by_one = isinstance(redis, Cluster)
        self._handover = channels.handover(name)
        self._seconds = seconds
        self._clock = clock
        self._fence = 0
        self._until = float("-inf")
        self._answered_at = float("-inf")
        self._answered = asyncio.Event()
        self._take = load_script(redis, "lease")
        self._give = load_script(redis, "lease_release")
        self._raise = load_script(redis, "resume")

    @property
    def fence(self) -> int:
        """The fence to publish with; 0 while this process does not hold the lease. It grows with every new holder."""
        return self._fence if self._clock() < self._until else 0

    @property
    def known(self) -> bool:
        """Whether Redis has lately answered who holds the lease."""
        return self._clock() - self._answered_at < self._seconds

    async def refresh(self) -> int:
        """Take the lease or renew it, if it is free or ours. Returns `fence`. Raises BusError.

        A lease that ran out by our own clock is a new one, with a new fence.
        """
        asked, before = self._clock(), self.fence
        fence = await self._ask(before)
        if self._one_by_one and fence and fence != before:
            fence = await self._raise_each(fence)
        self._fence, self._answered_at = fence, asked
        # Counted from before the request, so that we stop before Redis lets another process in.
        self._until = asked + self._seconds if fence else float("-inf")
        self._answered.set()
        self._answered = asyncio.Event()
        return self.fence

    async def taken(self, before: int = 0) -> int:
        """Wait until this process holds the lease with a fence other than `before`. Returns the fence."""
        while not self.fence or self.fence == before:
            await self._answered.wait()
        return self.fence

    def refused(self, fence: int) -> None:
        """An update under `fence` was refused. If that is our fence, it no longer counts: the next renewal gets a newer
        one, unless another process holds the lease.

        An earlier holder, whose lease has not run out by its own clock, may publish on a server that has lost both, and
        whose clock is behind: then its fence is above ours (ADR 29).
        """
        if fence == self._fence:
            self._until = float("-inf")

    async def _ask(self, own: int, above: int = 0) -> int:
        keys = self._keys if self._one_by_one else self._keys + self._metas
        # On a connection that has died silently, the next question must come while the lease still lasts.
        async with redis_call(f"lease {self.name}"), asyncio.timeout(self._seconds / 2):
            return int(await self._take(keys=keys, args=[self.owner, int(self._seconds * 1000), own, above]))

    async def _raise_each(self, fence: int) -> int:
        """Raise the fence of each service before `fence` is used. Returns the one that is not below any of them.

        A service whose key is of another type can't be published: it keeps nobody from the others.
        """
        for meta in self._metas:
            try:
                async with redis_call(f"lease {self.name}"):
                    await self._raise(keys=[meta], args=[fence])
            except FencedError:  # the clock of the node that holds the lease was set back
                async with redis_call(f"lease {self.name}"):
                    highest = await self._redis.hget(meta, "fence")
                fence = await self._ask(0, above=int(highest or 0))
                return await self._raise_each(fence) if fence else 0
            except BusError as error:
                if not of_other_type(error.__cause__):
                    raise
        return fence

    async def hold(self) -> None:
        """Take or renew the lease until cancelled, then give it back."""
        state = ""
        try:
            while True:
                asked, answered = self._clock(), True
                try:
                    await self.refresh()
                    now = "held" if self.fence else "standing by"
                except BusError as error:
                    now, answered = f"unknown: {error}", False  # the fence expires by itself
                if now != state:
                    log.info("lease", lease=self.name, state=now)
                    state = now
                if answered and not self.fence:
                    await self._stand_by()
                else:
                    pause = min(_RENEW if answered else _ASK, self._seconds / 3)
                    await asyncio.sleep(max(0.0, asked + pause - self._clock()))
        finally:
            await self._release()

    async def _stand_by(self) -> None:
        """Wait until the holder gives the lease back, at most until the next question is due."""
        pause = min(_ASK, self._seconds / 3)
        began = self._clock()
        try:
            async with command_deadline():
                await self._redis.blpop([self._handover], pause)
        except REDIS_FAULTS:
            await asyncio.sleep(max(0.0, began + pause - self._clock()))

    async def _release(self) -> None:
        self._until = float("-inf")
        with contextlib.suppress(*REDIS_FAULTS):  # it expires by itself
            async with asyncio.timeout(1.0):
                await self._give(keys=[self._keys[0], self._handover], args=[self.owner, _HANDOVER_MS])
