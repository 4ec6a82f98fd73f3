"""Recent: the newest updates of one service, without holes. A returning client gets what it missed from here."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice

from gateway.frames import Update
from shared.bus import Position

_KEEP_FRAMES = 16  # newest updates whose frames are kept: those that clients miss during a short reconnect


class Recent:
    """A bounded copy of a service's stream in memory, so that a thousand returning clients cost Redis nothing."""

    def __init__(self, length: int) -> None:
        self._updates: deque[Update] = deque(maxlen=length)
        self._waiting: list[tuple[Position, asyncio.Future[None]]] = []

    @property
    def latest(self) -> Update | None:
        """The newest update, or None before the first."""
        return self._updates[-1] if self._updates else None

    def append(self, update: Update) -> None:
        """Add the newest update. At a new epoch or a hole, drop everything before it: continuity ends there."""
        latest = self.latest
        if latest is not None and update.position != (latest.position.epoch, latest.position.seq + 1):
            self._updates.clear()
        self._updates.append(update)
        if len(self._updates) > _KEEP_FRAMES:
            self._updates[-_KEEP_FRAMES - 1].shrink()
        for position, future in self._waiting:
            if not future.done() and self._has(position):
                future.set_result(None)

    def _has(self, position: Position) -> bool:
        latest = self.latest
        return latest is not None and latest.position.epoch == position.epoch and latest.position.seq >= position.seq

    def since(self, position: Position) -> list[Update] | None:
        """All updates after `position`, in order; None where it can't be proven that none is missing."""
        if not self._has(position):
            return None
        skip = position.seq + 1 - self._updates[0].position.seq
        return None if skip < 0 else list(islice(self._updates, skip, None))

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
