"""A client as docs/reference/protocol.md wants it: it keeps its position, comes back, and checks every number."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.faults.book import Book, Counts, Message, Track, Update, read_data, read_message
from tests.faults.connection import Connection, Refused, connect
from tests.waiting import until

FRESH = 1.0  # s: an update that arrives within it of its publish is live, not replayed


@dataclass(frozen=True)
class Habits:
    """How a follower behaves."""

    pause: tuple[float, float] = (0.1, 2.0)
    """Seconds between attempts: the first pause, and the longest. Each is a random share of it."""
    silence: float = 60.0
    """Seconds without a byte after which it gives a connection up."""
    notices: bool = False
    """Whether it listens to `system` too."""
    window: int | None = None
    """Bytes that the kernel may read ahead for it."""
    deliver: str | None = None
    """What it asks for while it is behind: `latest` or `every`."""
    numbered: bool = True
    """Whether updates carry the publisher's own number and time."""


class Follower:
    """One client of some services."""

    def __init__(
        self, book: Book, services: Iterable[str], where: Callable[[int], int], habits: Habits, seed: int
    ) -> None:
        """`where` gives the port of the n-th attempt."""
        self.tracks = {service: Track(service, book) for service in services}
        self._where = where
        self._habits = habits
        self._random = random.Random(seed)
        self.gate = asyncio.Event()
        """While it is not set, the follower does not connect."""
        self.gate.set()
        self.connection: Connection | None = None
        self.connects = 0
        self.closes: list[tuple[float, str]] = []
        """When connections ended, and the close code: `cut` where none came, `silent` where it gave up."""
        self.refused: Counter[str] = Counter()
        self.notices: list[tuple[float, str]] = []
        """When events of `system` came."""
        self.diary: list[tuple[float, str]] = []
        """When updates came of which service, unless they are numbered."""
        self.live: set[str] = set()
        """Services of which this connection has brought a live update."""
        self.fresh_at = 0.0
        self.fresh = 0
        """Live updates so far."""
        self.gaps: list[tuple[float, float]] = []
        """Times without a live update that were longer than FRESH."""
        self.late: list[float] = []
        """How late live updates were (s), one in five."""
        self.late_max = 0.0
        """How late the latest update was that was not replayed, since this was last set to zero."""
        self._pongs = 0

    async def run(self) -> None:
        """Connect, listen, and come back, until cancelled."""
        failures = tries = 0
        while True:
            await self.gate.wait()
            port, tries = self._where(tries), tries + 1
            try:
                connection = await connect(port, "/ws?meta=1", self._take, window=self._habits.window)
            except Refused as refused:
                self.refused[str(refused.status)] += 1
            except (OSError, TimeoutError) as error:
                self.refused[type(error).__name__] += 1
            else:
                failures = 0
                self.connects += 1
                await self._listen(connection)
            pause = min(self._habits.pause[1], self._habits.pause[0] * 2 ** min(failures, 8))
            failures += 1
            await asyncio.sleep(self._random.random() * pause)

    async def _listen(self, connection: Connection) -> None:
        self.connection = connection
        deliver = {} if self._habits.deliver is None else {"deliver": self._habits.deliver}
        for service, track in self.tracks.items():
            known = track.position
            since = {} if known is None else {"since": {"epoch": known[0], "seq": known[1]}}
            connection.say(action="subscribe", service=service, **deliver, **since)
        if self._habits.notices:
            connection.say(action="subscribe", service="system")
        try:
            code = await connection.closed()
        finally:
            self.connection = None
            self.live.clear()
        self.closes.append((time.time(), "cut" if code is None else str(code)))

    def leave(self) -> None:
        """Cut its connection."""
        if self.connection is not None:
            self.connection.transport.abort()

    def give_up_if_silent(self) -> None:
        """Cut a connection on which nothing has come for too long."""
        connection = self.connection
        if connection is not None and time.monotonic() - connection.heard_at > self._habits.silence:
            self.closes.append((time.time(), "silent"))
            connection.transport.abort()

    async def caught_up(self) -> None:
        """Return when the gateway has sent everything that it had for this connection: a ping is answered in turn."""
        if self.connection is not None:
            pongs = self._pongs
            self.connection.say(action="ping")
            await until(lambda: self._pongs > pongs or self.connection is None)

    def _take(self, raw: bytes) -> None:
        message = read_message(raw)
        if message.type == "update":
            self._update(message)
        elif message.type == "subscription_confirmed":
            answer = read_data(message.data)
            if answer.recovered is not None:
                self.tracks[answer.service].confirmed(answer.recovered)
        elif message.type == "pong":
            self._pongs += 1
        else:  # a command of ours that was refused would look like a client that nobody serves
            assert message.type != "error", raw

    def _update(self, message: Message) -> None:
        now, meta = time.time(), message.meta
        data = read_data(message.data) if self._habits.numbered or message.service == "system" else Update()
        track = self.tracks.get(message.service)
        if track is None or meta is None:  # the gateway's own notices have no position
            assert message.service == "system", message
            self.notices.append((now, str(data.event)))
            return
        track.update(meta, data.n)
        if not self._habits.numbered and not meta.snapshot:
            self.diary.append((now, message.service))
        if not data.at or meta.snapshot:
            return
        age = now - data.at
        if not meta.recovered:
            self.late_max = max(self.late_max, age)
        if age < FRESH:
            if self.fresh_at and now - self.fresh_at > FRESH:
                self.gaps.append((self.fresh_at, now))
            self.fresh_at = now
            self.fresh += 1
            self.live.add(message.service)
            if meta.seq % 5 == 0:
                self.late.append(age)

    @property
    def served(self) -> bool:
        """Whether this connection has brought a live update of everything."""
        return len(self.live) == len(self.tracks)

    @property
    def counts(self) -> Counts:
        """Of all its services."""
        return Counts.total(track.total for track in self.tracks.values())

    @property
    def at_end(self) -> bool:
        """Whether it has the newest of everything."""
        return all(track.at_end for track in self.tracks.values())
