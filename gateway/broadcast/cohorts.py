"""Cohort: the sessions that want the same bytes.

What arrives in one turn of the event loop becomes one buffer per cohort, built once and written once per session. The
frames on the wire, and their order, are the same as if every update had been written by itself. Of a buffer there are
up to three sorts: plain, each frame compressed by itself, and the cohort's stream (see `compression`).

Filtered updates are filtered and encoded when the cohort's turn to be written comes: there may be a cohort for every
client, and their frames would take more time than one turn of the event loop has, and more memory than there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import NamedTuple, Protocol

from gateway.broadcast.compression import Stream, Streams, Window
from gateway.filters.filter import Filter
from gateway.frames import Buffer, Form, Frame, join
from gateway.updates import Update

_PLAIN, _SHARED = 0, 16  # sorts of buffers; between them, the bits of a window for which each frame is compressed alone
_NONE: list[Buffer] = []


class Receiver(Protocol):
    """What a cohort needs of an outbox."""

    window: Window | None
    """None where compression was not negotiated."""

    def offer(self, buffer: Buffer) -> None:
        """Send `buffer` after all before it. Never waits."""
        ...


class Wanted(NamedTuple):
    """What a session wants: the services that it receives live, their form, and a filter of some of them."""

    form: Form
    services: frozenset[str]
    filters: frozenset[Filter] = frozenset()


class Cohort:
    """Receivers that want the same, and the frames that some of them have yet to be given.

    Each receiver has a mark: how many of the cohort's frames it was given, counted from the cohort's beginning. A round
    gives every receiver what it lacks. It may be cut into slices; receivers in a later slice also get the frames that
    were added meanwhile, in the same buffer.
    """

    def __init__(self, wanted: Wanted, streams: Streams) -> None:
        self.wanted = wanted
        self.size = 0
        """Bytes of the frames that are kept, and about those that are yet to be built."""
        self.sharers = 0
        """How many receivers can read a stream."""
        self._marks: dict[Receiver, int] = {}  # a dict for its order: who came first is served first
        self.filters = {each.service: each for each in wanted.filters}
        """By service, of those that are not sent whole."""
        self._frames: list[Frame] = []
        self._unbuilt: list[Frame | Update] = []  # what comes behind them; the first is to be filtered
        self._first = self._head = 0
        self._round: Iterator[Receiver] | None = None
        self._began = 0
        self._buffers: dict[tuple[int, int], list[Buffer]] = {}  # by the mark and the sort
        self._streams = streams
        self._stream: Stream | None = None
        self._position = 0
        self._positions: list[int] = []  # where each frame begins

    def __len__(self) -> int:
        """How many receivers there are."""
        return len(self._marks)

    def enter(self, receiver: Receiver) -> None:
        """Give `receiver` every frame that is added from now on."""
        self._marks[receiver] = self._head
        window = receiver.window
        if window is not None:
            window.restart()
            self.sharers += window.shares

    def leave(self, receiver: Receiver) -> None:
        """Give `receiver` what was added before, and nothing from now on."""
        self.give(receiver)
        del self._marks[receiver]
        window = receiver.window
        if window is not None and window.shares:
            self.sharers -= 1
            if not self.sharers:
                self._streams.release(self)
                self.end_stream()

    def add(self, what: Frame | Update) -> None:
        """Add a frame, or an update in the cohort's form, for `deliver` to give to everybody."""
        self._head += 1
        if isinstance(what, Update) and what.service not in self.filters:
            what = what.frame(self.wanted.form)
        if isinstance(what, Frame) and not self._unbuilt:
            self._append(what)
        else:
            self._unbuilt.append(what)
            self.size += what.size

    def _build(self) -> None:
        """Build what is yet to be built."""
        unbuilt, self._unbuilt = self._unbuilt, []
        for what in unbuilt:
            self.size -= what.size
            if isinstance(what, Update):
                what = what.frame(self.wanted.form, self.filters[what.service])
            self._append(what)

    def _append(self, frame: Frame) -> None:
        if not self._frames and self._stream is None and self.sharers and self._streams.take(self):
            self._stream = Stream(self._first, self._position)
        self._frames.append(frame)
        self._positions.append(self._position)
        if frame.compressible:
            self._position += frame.size
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
            given += self._go_round(self._round, most - given)
            if given < most:
                self._round = None
                if self._began == self._head:
                    self._forget()
                    break
        return given

    def _go_round(self, receivers: Iterator[Receiver], most: float) -> int:
        """Give the next receivers what they lack, at most `most` of them. Returns how many; fewer: there are no more.

        What this loop does once per delivery is most of what a delivery costs outside the kernel. It gives one buffer
        to those who were given the same before and have the same window; `give` is for the others.
        """
        if self._unbuilt:
            self._build()
        marks, head, given, sharing = self._marks, self._head, 0, 0
        mark, reach, plain, shared, alone, bits, lone = -1, -1, _NONE, _NONE, _NONE, 0, 0
        for receiver in receivers:
            at = marks.get(receiver, head)
            if at == head:  # it has left, or was given them
                continue
            if at != mark:
                self._streams.count(shared, sharing)
                self._streams.count(alone, lone)
                mark, reach, plain, shared, sharing = at, self._reach(at), _NONE, _NONE, 0
                alone, bits, lone = _NONE, 0, 0
            window = receiver.window
            if window is None:
                buffers = plain = plain or self._made(at, _PLAIN)
            elif window.shares and window.since is not None and window.since <= reach:
                buffers = shared = shared or self._made(at, _SHARED)
                sharing += len(buffers) == 1
            elif window.since is not None:
                if window.bits != bits:
                    self._streams.count(alone, lone)
                    alone, bits, lone = self._made(at, window.bits), window.bits, 0
                buffers = alone
                lone += len(buffers) == 1
            else:
                buffers = _NONE
            if len(buffers) == 1:
                marks[receiver] = head
                receiver.offer(buffers[0])
            else:
                self.give(receiver)
            given += 1
            if given == most:
                break
        self._streams.count(shared, sharing)
        self._streams.count(alone, lone)
        return given

    def give(self, receiver: Receiver) -> bool:
        """Give one receiver what it has not been given yet. Returns whether there was anything."""
        mark, head = self._marks.get(receiver), self._head
        if mark is None or mark == head:
            return False
        if self._unbuilt:
            self._build()
        self._marks[receiver] = head
        window = receiver.window
        if window is None:
            for buffer in self._made(mark, _PLAIN):
                receiver.offer(buffer)
            return True
        while mark < head:
            for buffer in self._made(mark, self._sort(window, mark)):
                receiver.offer(buffer)
                self._streams.count([buffer])
                mark += len(buffer.frames)
                if window.since is None:  # it skipped that: what was built on it can't be read any more
                    break
        return True

    def end_stream(self) -> None:
        """Go on with frames that are compressed each by itself."""
        self._stream = None
        self._buffers.clear()

    def _sort(self, window: Window, mark: int) -> int:
        """The sort of buffer for a client with that window."""
        position = self._positions[mark - self._first]
        if window.since is None:
            window.since = position
        if window.shares and window.since <= self._reach(mark):
            return _SHARED
        return window.bits

    def _reach(self, mark: int) -> int:
        """Who has been sent everything since that position can read the stream from `mark` on; nobody: -1."""
        return -1 if self._stream is None else self._stream.reach(self._positions[mark - self._first])

    def _made(self, mark: int, sort: int) -> list[Buffer]:
        """All frames from `mark` on, in buffers of that sort."""
        buffers = self._buffers.get((mark, sort))
        if buffers is None:
            frames = self._frames[mark - self._first :]
            if sort == _PLAIN:
                buffers = join(frames)
            elif sort == _SHARED:
                assert self._stream is not None
                self._stream.add(self._frames[self._stream.head - self._first :])
                buffers = join(frames, self._stream.since(mark))
            else:
                buffers = join(frames, [frame.alone(sort) for frame in frames])
            self._buffers[mark, sort] = buffers
        return buffers

    def _forget(self) -> None:
        """Drop the frames: everybody has been given them."""
        self._first = self._head
        self._frames.clear()
        self._positions.clear()
        self._buffers.clear()
        self.size = 0
        if self._stream is not None:
            if self._stream.head == self._first:
                self._stream.forget()
            else:  # nobody could read it: a new one begins with the next frame, which all can read
                self._stream = None
