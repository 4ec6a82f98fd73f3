"""Recent: the newest updates of one service, without holes. A returning client gets what it missed from here."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

from gateway.frames import Update
from shared.bus import Position

NOTHING_YET = Position("", 0)
"""The position of a service before its first update. No epoch has begun then, so it has no name."""

_KEEP_FRAMES = 16  # newest updates whose frames are kept: those that clients miss during a short reconnect


class Missed:
    """A place among the newest updates: what comes after it has yet to be sent, also what is published meanwhile."""

    __slots__ = ("_next", "_recent")

    def __init__(self, recent: Recent, number: int) -> None:
        """`number` is that of the next update, counted from the first that `recent` was given."""
        self._recent = recent
        self._next = number

    def __len__(self) -> int:
        """How many updates there are to send now."""
        return self._recent.count - self._next

    def __getitem__(self, index: int) -> Update:
        """One of them; 0 is the next."""
        return self._recent.updates[self._next + index - self._recent.first]

    def __iter__(self) -> Iterator[Update]:
        """All of them, in order."""
        return (self[index] for index in range(len(self)))

    @property
    def lost(self) -> bool:
        """Whether the next is no longer kept."""
        return self._next < self._recent.first

    def skip(self, count: int) -> None:
        """The next `count` are sent."""
        self._next += count


class Recent:
    """A bounded copy of a service's stream in memory, so that a thousand returning clients cost Redis nothing."""

    def __init__(self, length: int) -> None:
        """`length` updates can be asked for. A tenth more is kept for those whose replay is under way."""
        self.length = length
        self.updates: deque[Update] = deque(maxlen=length + length // 10)
        """The newest, also those of another epoch or before a hole: a replay under way sends them."""
        self.count = 0
        """How many there were."""
        self._begins = 0  # number of the first from which on none is missing
        self._waiting: dict[asyncio.Future[None], Position] = {}  # a dict, because thousands may leave at once
        self._first_epoch = True
        """Whether no epoch has ended since this process began to listen."""

    @property
    def first(self) -> int:
        """The number of the oldest that is kept, counted from the first that there was."""
        return self.count - len(self.updates)

    @property
    def latest(self) -> Update | None:
        """The newest update, or None before the first."""
        return self.updates[-1] if self.updates else None

    @property
    def position(self) -> Position:
        """Where the service stands: the position of the newest update, or NOTHING_YET."""
        return self.updates[-1].position if self.updates else NOTHING_YET

    def append(self, update: Update) -> None:
        """Add the newest update. At a new epoch or a hole, continuity ends: nothing before it can be asked for."""
        latest = self.latest
        if latest is not None and update.position != (latest.position.epoch, latest.position.seq + 1):
            self._begins = self.count
            self._first_epoch = self._first_epoch and update.position.epoch == latest.position.epoch
        self.updates.append(update)
        self.count += 1
        if len(self.updates) > _KEEP_FRAMES:
            self.updates[-_KEEP_FRAMES - 1].shrink()
        for future, position in self._waiting.items():
            if not future.done() and self._has(position):
                future.set_result(None)

    def _has(self, position: Position) -> bool:
        latest = self.latest
        return latest is not None and latest.position.epoch == position.epoch and latest.position.seq >= position.seq

    def since(self, position: Position) -> Missed | None:
        """The place after `position`; None where it can't be proven that no update is missing behind it.

        After NOTHING_YET comes the first update of the first epoch.
        """
        oldest = max(self._begins, self.count - self.length)
        if position == NOTHING_YET:
            everything = Missed(self, oldest)
            return everything if self._first_epoch and (not everything or everything[0].position.seq == 1) else None
        if not self._has(position):
            return None
        number = self.count - (self.position.seq - position.seq)
        return Missed(self, number) if number >= oldest else None

    async def reach(self, position: Position, seconds: float) -> None:
        """Wait up to `seconds` for `position`: the client may come from a gateway that is a moment ahead."""
        latest = self.latest
        if latest is None or latest.position.epoch != position.epoch or self._has(position):
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiting] = position
        try:
            await asyncio.wait([waiting], timeout=seconds)
        finally:
            waiting.cancel()
            del self._waiting[waiting]
