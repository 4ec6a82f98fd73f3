"""Replays: what returning clients missed, written a batch at a time between all else that a gateway does.

When a gateway is lost, its clients come back all at once, and each asks for what it missed. The work of one turn of the
event loop is bounded by the clock, and a batch of updates is encoded and joined once for all clients that want it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from gateway.broadcast.batches import Batches
from gateway.broadcast.recent import Missed
from gateway.bucket import Bucket
from gateway.filters.filter import Filter
from gateway.frames import Buffer, Form
from shared.metrics import GatewayMetrics

BURST_BYTES = 4 << 20
"""What a connection may replay at once beyond the first replay of each service."""

BYTES_A_SECOND = 1 << 20
"""How fast that is refilled. More is held back, and written at this rate."""

PACE = 160 << 20
"""Bytes per second of all replays together: more than a gigabit link carries. What is written faster than clients read
only fills buffers, of the kernel and of the network, and everybody's live updates wait behind them."""

AHEAD = 8 << 20
"""How much of that may be written at once, after a pause."""

_PAUSE = 0.004  # s between two looks whether the pace allows more: half a megabyte
_SLICE = 0.004  # s of one turn of the event loop; an update passes about four turns from Redis to its clients
_AFTER = 50e-6  # s of it that each replay costs that ends: its session goes live in the next turn


class FellBehind(Exception):
    """The history no longer holds what a client has yet to read."""


class Reader(Protocol):
    """What a replay needs of an outbox."""

    @property
    def size(self) -> int:
        """Bytes that wait in it."""
        ...

    def offer(self, buffer: Buffer) -> None:
        """Send `buffer` after all before it. Never waits."""
        ...

    async def drained(self) -> None:
        """Wait until nothing waits in it."""
        ...


class Allowance:
    """How many bytes of the past one connection may read. The first replay of each service is free."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, burst: float = BURST_BYTES, rate: float = BYTES_A_SECOND
    ) -> None:
        self._clock = clock
        self._bucket = Bucket(burst, rate, clock())
        self._rate = rate
        self._served: set[str] = set()
        self._free = False

    def begin(self, service: str) -> None:
        """A replay of `service` begins."""
        self._free = service not in self._served
        self._served.add(service)

    def take(self, size: int) -> None:
        """Count `size` bytes of that replay."""
        if not self._free:
            self._bucket.refill(self._clock())
            self._bucket.left -= size

    def wait(self) -> float:
        """Seconds until that replay may go on: 0 at once."""
        if self._free:
            return 0.0
        self._bucket.refill(self._clock())
        return max(0.0, -self._bucket.left / self._rate)


class _Replay:
    """One replay under way: what is left of it, and where it goes."""

    def __init__(
        self, outbox: Reader, left: Missed, form: Form, allowance: Allowance, only: Filter | None = None
    ) -> None:
        self.outbox = outbox
        self.left = left
        self.form = form
        self.only = only
        self.allowance = allowance
        self.waiting: asyncio.Future[None] | None = None

    @property
    def writable(self) -> bool:
        """Whether another batch can be written now."""
        return bool(self.left) and not (self.left.lost or self.outbox.size or self.allowance.wait())


class Replays:
    """All replays of a gateway. Those that can be written take turns."""

    def __init__(
        self, metrics: GatewayMetrics, *, joins: bool = True, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Without `joins`, every update is written by itself. `clock` measures how long a turn takes."""
        self.batches = Batches()
        self._metrics = metrics
        self._joins = joins
        self._clock = clock
        self._pace = Bucket(AHEAD, PACE, clock())
        self._ready: deque[_Replay] = deque()
        self._scheduled = False
        self._states: Counter[str] = Counter()
        for state in ("ready", "reading", "held"):
            metrics.replays.labels(state).set_function(partial(self.count, state))

    def count(self, state: str) -> int:
        """How many replays wait for their turn (`ready`), their client (`reading`), or their allowance (`held`)."""
        return self._states[state]

    async def run(
        self, outbox: Reader, missed: Missed, form: Form, allowance: Allowance, only: Filter | None = None
    ) -> None:
        """Send what was `missed`, and what is published meanwhile. Cancelled when the connection ends.

        What a filter leaves out costs as much as if it were sent: it was read.

        Raises FellBehind where the client reads so slowly that more has been published than is kept.
        """
        if missed:
            allowance.begin(missed[0].service)
        replay = _Replay(outbox, missed, form, allowance, only)
        while missed:
            if missed.lost:
                raise FellBehind
            await self._wait(replay)

    async def _wait(self, replay: _Replay) -> None:
        """Wait for what `replay` needs next: that its client has read, that its allowance is refilled, or its turn."""
        if replay.outbox.size:
            with self._counted("reading"):
                await replay.outbox.drained()
        elif held := replay.allowance.wait():
            with self._counted("held"):
                await asyncio.sleep(held)
        else:
            with self._counted("ready"):
                replay.waiting = asyncio.get_running_loop().create_future()
                self._ready.append(replay)
                self._schedule()
                await replay.waiting

    @contextmanager
    def _counted(self, state: str) -> Iterator[None]:
        self._states[state] += 1
        try:
            yield
        finally:
            self._states[state] -= 1

    def _schedule(self) -> None:
        if self._scheduled:
            return
        self._scheduled = True
        loop = asyncio.get_running_loop()
        if self._pace.left > 0:
            loop.call_soon(self._take_turns)
        else:
            loop.call_later(_PAUSE, self._take_turns)

    def _take_turns(self) -> None:
        """Write batches, each replay one before any gets another, until this turn of the loop has taken long enough, or
        the pace allows no more."""
        self._scheduled = False
        now = self._clock()
        self._pace.refill(now)
        end = now + _SLICE
        while self._ready and self._pace.left > 0:
            replay = self._ready.popleft()
            assert replay.waiting is not None
            if replay.waiting.done():
                continue  # cancelled
            try:
                if replay.writable:
                    self._write(replay)
            except Exception as error:  # noqa: BLE001 - `run` raises it
                replay.waiting.set_exception(error)
                continue
            if replay.writable:
                self._ready.append(replay)
            else:
                _wake(replay.waiting)
                end -= _AFTER
            if self._clock() >= end:
                break
        if self._ready:
            self._schedule()

    def _write(self, replay: _Replay) -> None:
        batch = self.batches.first(replay.left, replay.form, replay.only)
        replay.left.skip(batch.updates)
        size = len(batch.buffer.wire)
        replay.allowance.take(batch.cost)
        self._pace.left -= size
        self._metrics.replayed.inc(size)
        for buffer in (batch.buffer,) if self._joins else batch.buffer.frames:
            replay.outbox.offer(buffer)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
