"""Outages: logs the transitions, and spaces out the attempts in between."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import structlog

log = structlog.get_logger()

_MOST_DOUBLINGS = 10  # beyond every pause that we use; a float would overflow after 1,024


class Outage:
    """Logs one line when something is lost and one when it is back, however many attempts fail in between."""

    def __init__(self, lost: str, back: str, *, clock: Callable[[], float] = time.monotonic, **fields: Any) -> None:
        """`lost` and `back` are the two lines; `fields` are added to both. `clock` gives seconds."""
        self._lost_line = lost
        self._back_line = back
        self._fields = fields
        self._clock = clock
        self._lost_at: float | None = None

    def lost(self, reason: object) -> None:
        """Log a warning with `reason` if the outage begins now."""
        if self._lost_at is None:
            self._lost_at = self._clock()
            log.warning(self._lost_line, reason=str(reason) or type(reason).__name__, **self._fields)

    def back(self) -> None:
        """Log how long the outage took if there was one."""
        if self._lost_at is not None:
            log.info(self._back_line, after_seconds=round(self._clock() - self._lost_at, 1), **self._fields)
            self._lost_at = None


class Backoff:
    """Pauses between attempts: exponential, capped, with full jitter.

    Unlike redis.backoff's, it does not overflow after 1,024 failures, and its randomness is a parameter.
    """

    def __init__(self, first: float, longest: float, chance: Callable[[], float] = random.random) -> None:
        """The first pause is at most `first` seconds, every further one twice that, up to `longest`.

        `chance` gives 0 ≤ x < 1.
        """
        self._first = first
        self._longest = longest
        self._chance = chance
        self._failures = 0

    def pause(self) -> float:
        """Seconds to wait before the next attempt."""
        most = min(self._longest, self._first * 2.0 ** min(self._failures, _MOST_DOUBLINGS))
        self._failures += 1
        return self._chance() * most

    def reset(self) -> None:
        """Begin with the first pause again: an attempt succeeded."""
        self._failures = 0
