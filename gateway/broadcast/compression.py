"""Compression with memory, once per cohort: what a client's window holds, and the stream that fits it.

An inflater's window holds nothing but what was sent to it compressed. So clients that were sent the same can read one
stream, in which each update refers to those before it. A client that has not been sent enough of them yet gets each
update compressed by itself, which it can read whatever its window holds, and which fills its window all the same.

Positions count the bytes of a cohort's compressible updates, uncompressed, from the cohort's beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Protocol

from gateway.deflate import LARGEST_WINDOW, Compressor, new_compressor
from gateway.frames import Buffer, Frame, Joined

WINDOW_BYTES = 1 << LARGEST_WINDOW
"""How far back a stream refers."""

STREAMS = 32  # of 144 KiB, less than 5 MiB in all; the endpoints need one each, and few clients use another form
_sharers = attrgetter("sharers")
_LARGER = 2  # how many times as many clients a cohort has that takes another's stream; a new one starts without memory


class Window:
    """What a client's inflater remembers. Every connection that negotiated permessage-deflate has one."""

    __slots__ = ("bits", "shares", "since")

    def __init__(self, bits: int = LARGEST_WINDOW, *, takeover: bool = True) -> None:
        """2 to the power of `bits` bytes; without `takeover`, it forgets everything after each message."""
        self.bits = bits
        self.shares = takeover and bits == LARGEST_WINDOW
        """Whether it can ever read a stream."""
        self.since: int | None = None
        """The position in its cohort from which it has been sent everything; None: from its next update."""

    def alone(self, frame: Frame) -> Buffer:
        """What to send of a frame that only this client gets: compressed, at the price of a restart."""
        self.restart()
        return Joined([frame], [frame.alone(self.bits)])

    def restart(self) -> None:
        """The client was not sent something that its cohort was: until the window is full again, nothing is shared."""
        self.since = None


class Stream:
    """One deflate stream for the clients of a cohort whose windows hold what it refers to."""

    def __init__(self, first: int, origin: int) -> None:
        """It begins with the cohort's frame number `first`, at the position `origin`, and refers to nothing before."""
        self._compressor: Compressor = new_compressor(LARGEST_WINDOW)
        self._origin = origin
        self._kept = first
        self._wires: list[bytes] = []

    @property
    def head(self) -> int:
        """The number of the next frame."""
        return self._kept + len(self._wires)

    def reach(self, position: int) -> int:
        """From which position on a client must have been sent everything to read a frame that begins at `position`."""
        return max(self._origin, position - WINDOW_BYTES)

    def add(self, frames: Sequence[Frame]) -> None:
        """Compress the next frames."""
        for frame in frames:
            self._wires.append(frame.compressed(self._compressor) if frame.compressible else frame.wire)

    def since(self, number: int) -> list[bytes]:
        """The bytes of all frames from `number` on."""
        return self._wires[number - self._kept :]

    def forget(self) -> None:
        """Drop the bytes of the frames that everybody has been given."""
        self._kept = self.head
        self._wires.clear()


class Owner(Protocol):
    """A cohort, as far as Streams know it."""

    @property
    def sharers(self) -> int:
        """How many of its clients could read a stream."""
        ...

    def end_stream(self) -> None:
        """Go on without."""
        ...


class Streams:
    """Which cohorts have a stream: a bounded number. The others get every update compressed by itself.

    That costs the others bytes, but no CPU: an update is compressed by itself once for all cohorts.
    """

    def __init__(self, most: int = STREAMS) -> None:
        self._most = most
        self._owners: dict[Owner, None] = {}
        self._plain = self._sent = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._owners)

    def count(self, buffers: Sequence[Buffer], clients: int = 1) -> None:
        """So many clients with a window were sent `buffers`."""
        for buffer in buffers:
            self._plain += buffer.plain * clients
            self._sent += len(buffer.wire) * clients

    def counted(self) -> tuple[int, int]:
        """Bytes of what was sent since the last call: as they would be uncompressed, and as they were sent."""
        counted = self._plain, self._sent
        self._plain = self._sent = 0
        return counted

    def take(self, owner: Owner) -> bool:
        """Let `owner` have a stream, if there are few or another has much fewer clients. Returns whether it may."""
        if owner not in self._owners:
            if len(self._owners) >= self._most:
                smallest = min(self._owners, key=_sharers)
                if owner.sharers < _LARGER * max(smallest.sharers, 1):
                    return False
                del self._owners[smallest]
                smallest.end_stream()
            self._owners[owner] = None
        return True

    def release(self, owner: Owner) -> None:
        """`owner` has no use for a stream any more."""
        self._owners.pop(owner, None)
