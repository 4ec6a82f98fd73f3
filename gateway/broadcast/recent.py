"""Recent: the newest updates of one service, without holes. A returning client gets what it missed from here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

from gateway.frames import Update
from shared.bus import Position

NOTHING_YET = Position("", 0)
"""The position of a service before its first update. No epoch has begun then, so it has no name."""

_KEEP_FRAMES = 16  # newest updates whose frames are kept: those that clients miss during a short reconnect


class Recent:
    """A bounded copy of a service's stream in memory, so that a thousand returning clients cost Redis nothing."""

    def __init__(self, length: int) -> None:
        self._updates: deque[Update] = deque(maxlen=length)
        self.length = length
        self._waiting: list[tuple[Position, asyncio.Future[None]]] = []
        self._backlogs: dict[int, deque[Update]] = {}
        self._first_epoch = True
        """Whether no epoch has ended since this process began to listen."""

    @property
    def latest(self) -> Update | None:
        """The newest update, or None before the first."""
        return self._updates[-1] if self._updates else None

    @property
    def position(self) -> Position:
        """Where the service stands: the position of the newest update, or NOTHING_YET."""
        return self._updates[-1].position if self._updates else NOTHING_YET

    def append(self, update: Update) -> None:
        """Add the newest update. At a new epoch or a hole, drop everything before it: continuity ends there."""
        latest = self.latest
        if latest is not None and update.position != (latest.position.epoch, latest.position.seq + 1):
            self._updates.clear()
            self._first_epoch = self._first_epoch and update.position.epoch == latest.position.epoch
        self._updates.append(update)
        for backlog in self._backlogs.values():
            backlog.append(update)
        if len(self._updates) > _KEEP_FRAMES:
            self._updates[-_KEEP_FRAMES - 1].shrink()
        for position, future in self._waiting:
            if not future.done() and self._has(position):
                future.set_result(None)

    def _has(self, position: Position) -> bool:
        latest = self.latest
        return latest is not None and latest.position.epoch == position.epoch and latest.position.seq >= position.seq

    def since(self, position: Position) -> list[Update] | None:
        """All updates after `position`, in order; None where it can't be proven that none is missing.

        After NOTHING_YET that is every update from the first of the first epoch.
        """
        if position == NOTHING_YET:
            whole = self._first_epoch and (not self._updates or self._updates[0].position.seq == 1)
            return list(self._updates) if whole else None
        if not self._has(position):
            return None
        skip = position.seq + 1 - self._updates[0].position.seq
        return None if skip < 0 else list(islice(self._updates, skip, None))

    @contextmanager
    def backlog(self, missed: Iterable[Update]) -> Iterator[deque[Update]]:
        """`missed`, and behind it every update that is added while the block runs, whichever epoch it is of.

        The caller takes updates from the left, and gives up where more than `length` are left.
        """
        backlog = deque(missed)
        self._backlogs[id(backlog)] = backlog
        try:
            yield backlog
        finally:
            del self._backlogs[id(backlog)]

    async def reach(self, position: Position, seconds: float) -> None:
        """Wait up to `seconds` for `position`: the client may come from a gateway that is a moment ahead."""
        latest = self.latest
        if latest is None or latest.position.epoch != position.epoch or self._has(position):
            return
        waiting = (position, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            await asyncio.wait([waiting[1]], timeout=seconds)
        finally:
            waiting[1].cancel()
            self._waiting.remove(waiting)
