"""Recent: the newest updates of one service, without holes. A returning client gets what it missed from here."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator

from gateway.updates import Update
from shared.bus import Gap, Position, began

NOTHING_YET = Position("", 0)
"""The position of a service before its first update. No epoch has begun then, so it has no name."""

_SPARE_SECONDS = 60.0
"""How long updates beyond the length are kept, where memory allows: longer than clients take to come back."""

_GAPS_KEPT = 1000  # each is an outage of Redis, or a burst that was too large for its stream

_EPOCHS_KEPT = 16  # epochs in the order of which there is no doubt

_AHEAD = 86_400.0  # s that clocks may differ: an epoch that begins later than that is invented

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


class Spare:
    """The memory for updates beyond the length of their histories: all services of a gateway share it."""

    def __init__(self, size: int = 0) -> None:
        """`size` bytes, as the updates have them on the bus."""
        self.size = size
        self.used = 0

    @property
    def full(self) -> bool:
        """Whether more is used than there is."""
        return self.used > self.size


class Recent:
    """A bounded copy of a service's stream in memory, so that a thousand returning clients cost Redis nothing.

    What comes in a burst is kept beyond that bound for a minute, while there is memory to spare.
    """

    def __init__(
        self,
        length: int,
        spare: Spare | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`length` updates can be asked for. A tenth more is kept for those whose replay is under way."""
        self.length = length
        self.updates: deque[Update] = deque()
        """The newest, also those of another epoch or before a hole: a replay under way sends them."""
        self._spare = Spare() if spare is None else spare
        self._clock = clock
        self._wall_clock = wall_clock
        self._spared: deque[float] = deque()
        """When each update beyond the length, oldest first, is forgotten at the latest."""
        self.count = 0
        """How many there were."""
        self._gaps: deque[tuple[int, Gap]] = deque(maxlen=_GAPS_KEPT)
        """What is lost before which update, also of dropped ones: a slow client may skip more than is kept."""
        self._begins = 0  # number of the first from which on none is missing
        self._waiting: dict[int, dict[asyncio.Future[None], None]] = {}
        """Who waits for which seq of the newest update's epoch. Thousands may wait, also for what never comes."""
        self._first_epoch = True
        """Whether no epoch has ended since this process began to listen."""
        self._epochs: deque[str] = deque(maxlen=_EPOCHS_KEPT)
        """The epochs that were heard, in the order in which they began."""

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
        epoch = update.position.epoch
        if (latest is None or epoch != latest.position.epoch) and epoch not in self._epochs:
            self._epochs.append(epoch)
        self.updates.append(update)
        if update.gap is not None:
            self._gaps.append((self.count, update.gap))
        self.count += 1
        self._forget()
        if len(self.updates) > _KEEP_FRAMES:
            self.updates[-_KEEP_FRAMES - 1].shrink()
        self._wake(update.position, latest.position if latest is not None else NOTHING_YET)

    def _wake(self, position: Position, before: Position) -> None:
        """Wake who waits no longer, now that `position` has come after `before`."""
        if position == (before.epoch, before.seq + 1):
            reached = [position.seq]
        else:
            ended = position.epoch != before.epoch
            reached = [seq for seq in self._waiting if ended or seq <= position.seq]
        for seq in reached:
            for future in self._waiting.pop(seq, ()):
                if not future.done():
                    future.set_result(None)

    def _forget(self) -> None:
        """Drop the oldest: those beyond the length, unless they came lately and there is memory to spare."""
        kept, now = self.length + self.length // 10, self._clock()
        if len(self.updates) > kept + len(self._spared):
            self._spare.used += self.updates[-kept - 1].size
            self._spared.append(now + _SPARE_SECONDS)
        while self._spared and (self._spare.full or self._spared[0] < now):
            self._spared.popleft()
            self._spare.used -= self.updates.popleft().size

    def lost_in_last(self, count: int) -> tuple[int, Gap | None]:
        """How many updates are lost right before the last `count` ones, and between them, and within which bounds."""
        gaps = [gap for number, gap in self._gaps if number >= self.count - count]
        return sum(gap.size for gap in gaps), Gap(gaps[0].first, gaps[-1].last) if gaps else None

    def behind(self, position: Position) -> bool:
        """Whether `position` is after the newest update: further in its epoch, or in an epoch that began later.

        That Redis has lost such an epoch, or that this gateway has not heard of it yet, makes no difference. Only
        epochs that it has not heard of are judged by their names: clocks of servers may differ.
        """
        latest = self.latest
        if latest is None:
            return False
        if latest.position.epoch == position.epoch:
            return latest.position.seq < position.seq
        if position.epoch in self._epochs:
            return self._epochs.index(position.epoch) > self._epochs.index(latest.position.epoch)
        ours, theirs = began(latest.position.epoch), began(position.epoch)
        return ours is not None and theirs is not None and ours < theirs < self._wall_clock() + _AHEAD

    def knows(self, position: Position) -> bool:
        """Whether it can be told what came after `position`, without asking Redis."""
        return position == NOTHING_YET or self._has(position)

    def _has(self, position: Position) -> bool:
        latest = self.latest
        return latest is not None and latest.position.epoch == position.epoch and latest.position.seq >= position.seq

    def since(self, position: Position) -> Missed | None:
        """The place after `position`; None where it can't be proven that no update is missing behind it.

        After NOTHING_YET comes the first update of the first epoch.
        """
        # The oldest tenth is for replays under way: a new one begins behind it.
        oldest = max(self._begins, min(self.count - self.length, self.first + self.length // 10))
        if position == NOTHING_YET:
            everything = Missed(self, oldest)
            return everything if self._first_epoch and (not everything or everything[0].position.seq == 1) else None
        if not self._has(position):
            return None
        number = self.count - (self.position.seq - position.seq)
        return Missed(self, number) if number >= oldest else None

    async def reach(self, position: Position, seconds: float) -> None:
        """Wait up to `seconds` until the newest update is not `behind` the position."""
        if not self.behind(position):
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(position.seq, {})[waiting] = None
        try:
            await asyncio.wait([waiting], timeout=seconds)
        finally:
            waiting.cancel()
            others = self._waiting.get(position.seq, {})
            others.pop(waiting, None)
            if not others:
                self._waiting.pop(position.seq, None)
