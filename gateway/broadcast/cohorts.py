"""Cohort: the sessions that want the same bytes.

What arrives in one turn of the event loop becomes one buffer per cohort, built once and written once per session. The
frames on the wire, and their order, are the same as if every update had been written by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import NamedTuple, Protocol

from gateway.frames import Buffer, Form, Frame, join


class Receiver(Protocol):
    """What a cohort needs of an outbox."""

    def offer(self, buffer: Buffer) -> None:
        """Send `buffer` after all before it. Never waits."""
        ...


class Wanted(NamedTuple):
    """What a session wants: the services that it receives live, and their form."""

    form: Form
    services: frozenset[str]


class Cohort:
    """Receivers that want the same, and the frames that some of them have yet to be given.

    Each receiver has a mark: how many of the cohort's frames it was given, counted from the cohort's beginning. Of a
    round that was cut into slices, the last may find more frames than the first, and gets them in one buffer.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.size = 0
        """Bytes of the frames that are kept."""
        self._marks: dict[Receiver, int] = {}  # a dict for its order: who came first is served first
        self._frames: list[Frame] = []
        self._first = 0
        self._round: Iterator[Receiver] | None = None
        self._began = 0
        self._buffers: dict[int, list[Buffer]] = {}

    def __len__(self) -> int:
        """How many receivers there are."""
        return len(self._marks)

    @property
    def _head(self) -> int:
        return self._first + len(self._frames)

    def enter(self, receiver: Receiver) -> None:
        """Give `receiver` every frame that is added from now on."""
        self._marks[receiver] = self._head

    def leave(self, receiver: Receiver) -> None:
        """Give `receiver` what was added before, and nothing from now on."""
        self.give(receiver)
        del self._marks[receiver]

    def add(self, frame: Frame) -> None:
        """Add a frame, for `deliver` to give to everybody."""
        self._frames.append(frame)
        self.size += len(frame.wire)
        self._buffers.clear()

    def deliver(self, most: float = inf) -> int:
        """Give receivers what they have not been given yet, at most `most` of them. Returns how many were given some.

        Fewer than `most` means that everybody has everything.
        """
        given = 0
        while given < most:
            if self._round is None:
                self._round = iter(tuple(self._marks))
                self._began = self._head
            for receiver in self._round:
                if self.give(receiver):
                    given += 1
                    if given == most:
                        return given
            self._round = None
            if self._began == self._head:
                self._first = self._head
                self._frames.clear()
                self._buffers.clear()
                self.size = 0
                break
        return given

    def give(self, receiver: Receiver) -> bool:
        """Give one receiver what it has not been given yet. Returns whether there was anything."""
        mark, head = self._marks.get(receiver), self._head
        if mark is None or mark == head:
            return False
        self._marks[receiver] = head
        buffers = self._buffers.get(mark)
        if buffers is None:
            buffers = self._buffers[mark] = join(self._frames[mark - self._first :])
        for buffer in buffers:
            receiver.offer(buffer)
        return True
