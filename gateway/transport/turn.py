"""Turn: how long one turn of the event loop may be kept by what clients send, over all connections together.

A read takes microseconds, but three hundred clients that send a flood at the same moment would keep the loop for
seconds, and everybody's updates with it. So would two thousand that connect. What is left waits for the next turn.
Short reads go first: who sends a command, a pong or a health check does not wait behind those who send floods. And the
first piece of an answer over HTTP does not wait behind the others: pages are megabytes, health checks are not.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

_READING = 0.005  # s; an update passes about four turns from Redis to its clients, and waits for this in each
_OPENING = 24  # handshakes: 2.5 ms with the answers of their application, which come in the next turn
_PIECES = 32  # of answers per turn, 16 KiB each: 2 ms, or 10 ms where each begins the answer to another request
_SHORT = 1_024  # bytes: enough for a request, or a command that names all services


class _PerTurn:
    """What is counted anew in each turn, as long as there is something to count."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._counting = False

    def _count(self) -> None:
        if not self._counting:
            self._counting = True
            self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._counting = False
        self._begin()

    def _begin(self) -> None:
        """A new turn begins."""
        raise NotImplementedError


class _Share(_PerTurn):
    """A part of every turn, for one kind of work."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: float) -> None:
        super().__init__(loop)
        self._most = most
        self._spent = 0.0
        self._began: float | None = None  # when what runs now began
        self._short: deque[Callable[[], None]] = deque()
        self._long: deque[Callable[[], None]] = deque()

    @property
    def over(self) -> bool:
        """Whether this share of the turn is used up."""
        running = 0.0 if self._began is None else time.perf_counter() - self._began
        return self._spent + running >= self._most

    def spend(self, size: int, work: Callable[[], None]) -> None:
        if self._short or self._long or self._began is not None or self.over:
            self.put_off(size, work)
        else:
            self._do(work)

    def put_off(self, size: int, work: Callable[[], None]) -> None:
        (self._short if size <= _SHORT else self._long).append(work)
        self._count()

    def _do(self, work: Callable[[], None]) -> None:
        self._count()
        self._began = time.perf_counter()
        try:
            work()
        finally:
            self._spent += time.perf_counter() - self._began
            self._began = None

    def _begin(self) -> None:
        """A new turn begins."""
        self._spent = 0.0
        while self._short and not self.over:
            self._do(self._short.popleft())
        if self._long:  # however many short ones there are
            self._do(self._long.popleft())
        while self._long and not self.over:
            self._do(self._long.popleft())
        if self._short or self._long:
            self._count()


class _Few(_PerTurn):
    """So much work per turn, in order: for work that goes on in the next, where nobody measures how long it takes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        super().__init__(loop)
        self._most = most
        self._done = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def spend(self, work: Callable[[], None]) -> None:
        if self._done >= self._most or self._waiting:
            self._waiting.append(work)
        else:
            self._done += 1
            work()
        self._count()

    def _begin(self) -> None:
        """A new turn begins."""
        self._done = 0
        while self._waiting and self._done < self._most:
            self._done += 1
            self._waiting.popleft()()
        if self._done:
            self._count()


class _Pieces(_PerTurn):
    """Pieces of answers: so many per turn, in the order in which they are asked for."""

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        super().__init__(loop)
        self._most = most
        self._used = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> None:
        if self._used >= self._most or self._waiting:
            self._waiting.append(self._loop.create_future())
            self._count()
            await self._waiting[-1]
        else:
            self._used += 1
            self._count()

    def _begin(self) -> None:
        """A new turn begins. Who was waiting goes on in the next."""
        self._used = 0
        while self._waiting and self._used < self._most:
            waiter = self._waiting.popleft()
            if not waiter.done():  # its task was cancelled
                waiter.set_result(None)
                self._used += 1
        if self._used or self._waiting:
            self._count()


class Turn:
    """The budgets of the turn that runs now. Clients that are connected do not wait behind those that connect."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        reading: float = _READING,
        opening: int = _OPENING,
        pieces: int = _PIECES,
    ) -> None:
        """Spend at most about `reading` seconds per turn of `loop` on messages.

        At most so many handshakes are answered (`opening`), and so many `pieces` of answers are written.
        """
        self._reading = _Share(loop, reading)
        self._opening = _Few(loop, opening)
        self._pieces = _Pieces(loop, pieces)

    @property
    def over(self) -> bool:
        """Whether reading took long enough. Work that can go on later asks in between, and is put off."""
        return self._reading.over

    def spend(self, size: int, work: Callable[[], None]) -> None:
        """Do `work`, which reads `size` bytes, now, or in a later turn where this one is over or others wait."""
        self._reading.spend(size, work)

    def put_off(self, size: int, work: Callable[[], None]) -> None:
        """Do `work` in a later turn."""
        self._reading.put_off(size, work)

    def open(self, work: Callable[[], None]) -> None:
        """Do a handshake, now or in a later turn."""
        self._opening.spend(work)

    async def piece(self) -> None:
        """Wait for the time to write a piece of an answer, behind all who wait for that."""
        await self._pieces.take()
