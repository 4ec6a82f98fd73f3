"""Turn: how long one turn of the event loop may be kept by what clients send, over all connections together.

A read takes microseconds, but three hundred clients that send a flood at the same moment would keep the loop for
seconds, and everybody's updates with it. What is left waits for the next turn, in order.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

_MOST = 0.01  # s: a broadcast waits no longer for what clients send


class Turn:
    """The budget of the turn that runs now."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: float = _MOST) -> None:
        """Spend at most about `most` seconds per turn of `loop`."""
        self._loop = loop
        self._most = most
        self._spent = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._counting = False

    def spend(self, work: Callable[[], None]) -> None:
        """Do `work` now, or in a later turn where this one has been long enough or others wait already."""
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
