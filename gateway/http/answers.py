"""Answers: what strangers may have us ask Redis. Each answer is shared for a second, and few are made at a time.

However many clients poll, Redis is asked about once a second per answer; and however many different answers they want,
by few at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.bucket import Bucket
from shared.errors import CoinwireError

Asked = TypeVar("Asked", bound=Hashable)
Made = TypeVar("Made")

SHARED_SECONDS = 1.0
"""How old an answer may be."""
MAKING = 3
"""Answers made at once, each with one connection to Redis: it takes a millisecond or two. One is the favourite."""
WANTED = 1000
"""Different answers wanted at once: the last is there after a second or two. Beyond it, BusyError."""

_KEPT = 32  # answers that nobody waits for: those of one page size and a few cursors; 200 kB is a large one
_PATIENCE = 10.0  # s per request: the deadline of one command of Redis, and a wait for a turn
_EARLY = 5.0  # answers per second that are made before they are old, because something of ours has changed


class BusyError(CoinwireError):
    """Too many different answers are wanted at once."""


@dataclass(slots=True, eq=False)
class _Answer(Generic[Made]):
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    made: Made | None = None
    made_at: float = float("-inf")
    version: int = -1


class Answers(Generic[Asked, Made]):
    """Answers by what was asked."""

    def __init__(
        self,
        make: Callable[[Asked], Awaitable[Made]],
        version: Callable[[], int],
        *,
        favourite: Asked | None = None,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`make` makes one answer, of an error too: errors are shared as well.

        `version` changes with what an answer says of this gateway: who connects and looks at once should be in it. So
        an answer is made anew before it is a second old if the version has changed, a few times per second.

        `favourite` is what most want. It waits for no other: who asks for ever new answers delays only such.
        """
        self._make = make
        self._version = version
        self._patience = patience
        self._clock = clock
        self._early = Bucket(_EARLY, _EARLY, clock())
        self._favourite = favourite
        self._turns = asyncio.Semaphore(MAKING - 1)
        self._wanted: dict[Asked, _Answer[Made]] = {}
        self._kept: dict[Asked, _Answer[Made]] = {}  # in the order in which they were last wanted

    async def get(self, asked: Asked) -> tuple[Made, bool]:
        """An answer that is at most a second old, and whether it was made for this call. Raises BusyError."""
        answer = self._wanted.get(asked)
        if answer is None:
            if len(self._wanted) >= WANTED and asked != self._favourite:
                raise BusyError
            answer = self._wanted[asked] = self._kept.pop(asked) if asked in self._kept else _Answer()
        answer.waiting += 1
        try:
            async with asyncio.timeout(self._patience), answer.making:
                if answer.made is not None and self._fresh(answer):
                    return answer.made, False
                async with contextlib.nullcontext() if asked == self._favourite else self._turns:
                    version = self._version()
                    answer.made = await self._make(asked)
                    answer.made_at, answer.version = self._clock(), version
                    return answer.made, True
        except TimeoutError:
            raise BusyError from None
        finally:
            answer.waiting -= 1
            if not answer.waiting:
                self._keep(asked)

    def _fresh(self, answer: _Answer[Made]) -> bool:
        now = self._clock()
        if now - answer.made_at >= SHARED_SECONDS:
            return False
        if answer.version == self._version():
            return True
        self._early.refill(now)
        if self._early.left < 1:
            return True
        self._early.left -= 1
        return False

    def _keep(self, asked: Asked) -> None:
        """Nobody waits for this answer any more."""
        self._kept[asked] = self._wanted.pop(asked)
        if len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
