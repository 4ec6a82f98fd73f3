"""Ages of records and candles, counted so that a clock that is wrong makes only few of them too old."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

import structlog

from shared.catalog import CHANNEL_NAMES
from shared.database import Database
from shared.timestamps import iso_of

log = structlog.get_logger()

_DAY_MS = 86_400_000
_MOST = _DAY_MS
"""Milliseconds that a time in which nothing was recorded counts at most. It is also the step in which ages are counted.
A clock that is set ahead, by however much, therefore deletes a day early at most.
"""


class Gaps:
    """The times in which nothing was recorded, to log each once."""

    def __init__(self) -> None:
        self._told: set[int] = set()

    def found(self, newest: int, until: int) -> None:
        """Nothing was recorded from `newest` to `until`, both in unix ms."""
        if newest not in self._told:
            self._told.add(newest)
            log.warning(
                "nothing recorded for long, or a clock was set ahead: retention counts this time as a day at most",
                since=iso_of(newest),
                days=round((until - newest) / _DAY_MS, 1),
            )


Around = Callable[[int], Awaitable[tuple[int | None, int | None]]]
"""The time of the newest thing that is kept up to a moment, and of the oldest after it; None for none. All unix ms."""


async def oldest_kept(database: Database, days: float, now_ms: int, gaps: Gaps) -> int | None:
    """The time (unix ms) before which records are older than `days` at `now_ms`; None if none is. Raises DatabaseError.

    A time in which no service recorded anything counts as a day at most, or as half of `days` if that is less: that is
    how a clock looks that was set ahead. Records of before such a time are kept longer, by what is not counted.
    """
    return await oldest_of(functools.partial(database.around, CHANNEL_NAMES), days, now_ms, gaps)


async def oldest_of(around: Around, days: float, now_ms: int, gaps: Gaps | None = None) -> int | None:
    """The same of whatever `around` looks at; `gaps` logs the times without any."""
    left, at = int(days * _DAY_MS), now_ms
    most = min(_MOST, left // 2 + 1)
    while left > 0:
        newest, next_one = await around(at)
        if newest is None:
            return None
        until = now_ms if next_one is None else min(next_one, now_ms)
        if newest < at and until - newest > most:
            if gaps is not None:
                gaps.found(newest, until)
            left -= most - (until - at)  # the last step has counted a part of it
            at = newest
        else:
            step = min(most, left)
            at -= step
            left -= step
    return at
