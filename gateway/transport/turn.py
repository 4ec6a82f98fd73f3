"""Turn: how long one turn of the event loop may be kept by what clients send, over all connections together.

A read takes microseconds, but three hundred clients that send a flood at the same moment would keep the loop for
seconds, and everybody's updates with it. So would two thousand that connect. What is left waits for the next turn, in
order.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

_READING = 0.01  # s: a broadcast waits no longer for what clients send
_OPENING = 0.005  # s for handshakes, 20 of them; as long again until their application has answered


class _Share:
    """A part of every turn, for one kind of work."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: float) -> None:
        self._loop = loop
        self._most = most
        self._spent = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._counting = False

    def spend(self, work: Callable[[], None]) -> None:
        if self._waiting or self._spent >= self._most:
            self._waiting.append(work)
        else:
            self._do(work)

    def _do(self, work: Callable[[], None]) -> None:
        if not self._counting:
            self._counting = True
            self._loop.call_soon(self._begin)
        began = time.perf_counter()
        try:
            work()
        finally:
            self._spent += time.perf_counter() - began

    def _begin(self) -> None:
        """A new turn begins."""
        self._spent = 0.0
        self._counting = False
        while self._waiting and self._spent < self._most:
            self._do(self._waiting.popleft())


class Turn:
    """The budgets of the turn that runs now. Clients that are connected do not wait behind those that connect."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, reading: float = _READING, opening: float = _OPENING
    ) -> None:
        """Spend at most about `reading` seconds per turn of `loop` on messages, and `opening` on handshakes."""
        self._reading = _Share(loop, reading)
        self._opening = _Share(loop, opening)

    def spend(self, work: Callable[[], None]) -> None:
        """Do `work` now, or in a later turn where this one has been long enough or others wait already."""
        self._reading.spend(work)

    def open(self, work: Callable[[], None]) -> None:
        """The same for a handshake."""
        self._opening.spend(work)
