"""What was published, and how what a client got is held against it."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import msgspec


class Gap(msgspec.Struct, rename={"first": "from", "last": "to"}):
    """Updates of one epoch that nobody can bring back."""

    first: int
    last: int


class Meta(msgspec.Struct):
    """`meta` of an update."""

    epoch: str
    seq: int
    snapshot: bool = False
    recovered: bool = False
    skipped: int = 0
    gap: Gap | None = None


class Book:
    """What all clients, the publisher and Redis together know to have been published."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        self.highest: dict[tuple[str, str], int] = defaultdict(int)
        self.epochs: dict[str, list[str]] = defaultdict(list)
        self.conflicts = 0
        """Positions that stood for two different updates."""

    def note(self, service: str, epoch: str, seq: int, number: int = -1) -> None:
        """A position that was published or seen; `number` is the publisher's own, where it is known."""
        key = (service, epoch)
        if key not in self.highest:
            self.epochs[service].append(epoch)
        if seq > self.highest[key]:
            self.highest[key] = seq
        if number >= 0 and self._numbers[key].setdefault(seq, number) != number:
            self.conflicts += 1

    def in_order(self, service: str, epochs: Iterable[str]) -> None:
        """That is the order of these epochs. Those that only clients know of come before them."""
        told = list(dict.fromkeys(epochs))
        self.epochs[service] = [epoch for epoch in self.epochs[service] if epoch not in told] + told

    def newest(self, service: str) -> tuple[str, int] | None:
        """The newest position of a service."""
        if not self.epochs[service]:
            return None
        epoch = self.epochs[service][-1]
        return epoch, self.highest[service, epoch]

    def after(self, service: str, epoch: str, seq: int) -> int:
        """How many updates there were after that position."""
        later = self.epochs[service][self.epochs[service].index(epoch) + 1 :]
        return self.highest[service, epoch] - seq + sum(self.highest[service, each] for each in later)


@dataclass
class Counts:
    """How a client, or many together, were served."""

    expected: int = 0
    """Updates that were published after its first."""
    delivered: int = 0
    """Positions that it got, each counted once."""
    duplicates: int = 0
    holes: int = 0
    """Jumps of `seq` that nobody told it of, or an epoch that did not begin with 1."""
    missing: int = 0
    """Updates in those holes."""
    told: int = 0
    """Updates that were jumped over and told: by `meta.skipped` or `meta.gap`."""
    unproven: int = 0
    """Answers `recovered: false`."""
    recovered: int = 0
    """Answers `recovered: true`."""
    backwards: int = 0
    """Snapshots older than what it had."""
    ancient: int = 0
    """Updates older than its very first."""
    epochs: int = 0
    """New epochs that it was led into without a word."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__})

    @property
    def complete(self) -> bool:
        """Whether every update came."""
        return self.delivered == self.expected

    @classmethod
    def total(cls, counts: Iterable[Counts]) -> Counts:
        """Of many together."""
        return reduce(operator.add, counts, cls())


class Track:
    """What one client got of one service."""

    def __init__(self, service: str, book: Book) -> None:
        self._service = service
        self._book = book
        self._first: tuple[str, int] | None = None
        self._got: dict[str, bytearray] = defaultdict(bytearray)
        self._unproven = False
        self.position: tuple[str, int] | None = None
        self.counts = Counts()

    def confirmed(self, recovered: bool) -> None:
        """The answer to a `since`."""
        if recovered:
            self.counts.recovered += 1
        else:
            self.counts.unproven += 1
            self._unproven = True

    def update(self, meta: Meta, number: int) -> None:
        """The next update. It must be the one after the last, or a jump that was told."""
        counts, epoch, seq, known = self.counts, meta.epoch, meta.seq, self.position
        self._book.note(self._service, epoch, seq, number)
        unproven, self._unproven = self._unproven, False
        if known is None:
            self._first = (epoch, seq - 1)
        elif unproven:
            counts.backwards += epoch == known[0] and seq <= known[1]
        else:
            counts.epochs += epoch != known[0]
            self._jump(meta, seq - 1 - (known[1] if epoch == known[0] else 0))
        self._count(meta, unproven)
        if known is None or unproven or epoch != known[0] or seq > known[1]:
            self.position = (epoch, seq)

    def _jump(self, meta: Meta, missing: int) -> None:
        lost = meta.gap.last - meta.gap.first + 1 if meta.gap else 0  # `skipped` counts these, too
        told = min(max(missing, 0), max(meta.skipped, lost))
        self.counts.told += told
        if missing > told:
            self.counts.holes += 1
            self.counts.missing += missing - told

    def _count(self, meta: Meta, unproven: bool) -> None:
        assert self._first is not None
        got = self._got[meta.epoch]
        if meta.seq >= len(got):
            got.extend(bytes(meta.seq + 256 - len(got)))
        if meta.epoch == self._first[0] and meta.seq <= self._first[1]:
            self.counts.ancient += 1
        elif not got[meta.seq]:
            got[meta.seq] = 1
            self.counts.delivered += 1
        elif not (meta.snapshot and unproven):
            self.counts.duplicates += 1

    @property
    def total(self) -> Counts:
        """The counts so far, with what could have come."""
        expected = 0 if self._first is None else self._book.after(self._service, *self._first)
        return self.counts + Counts(expected=expected)

    @property
    def at_end(self) -> bool:
        """Whether the newest update has come."""
        newest = self._book.newest(self._service)
        return newest is None or self.position == newest


class Message(msgspec.Struct):
    """What a follower reads of a message."""

    service: str
    type: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    meta: Meta | None = None


class Update(msgspec.Struct):
    """What it reads of `data`: the number and the time of a publish, or the answer to a subscribe."""

    n: int = -1
    at: float = 0.0
    recovered: bool | None = None
    service: Any = None
    event: str | None = None


read_message = msgspec.json.Decoder(Message).decode
read_data = msgspec.json.Decoder(Update).decode
