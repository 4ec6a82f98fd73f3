"""Waiting: one budget of memory for all that waits in a gateway, for clients or from them.

Each connection has limits of its own, but nine thousand connections at their limits are more than a process may have.
Beyond the budget, the connection for which most waits is closed first, until the rest fits.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

import structlog

from gateway.frames import Buffer

log = structlog.get_logger()


class Holder(Protocol):
    """A connection for which something waits."""

    @property
    def gone(self) -> bool:
        """Whether it ends already."""
        ...

    def give_up(self) -> None:
        """Drop what waits, and end the connection."""
        ...


class Waiting:
    """Bytes that wait. A buffer that waits for many clients counts once."""

    def __init__(self, most: float = inf) -> None:
        """At most `most` bytes may wait."""
        self.used = 0
        self._most = most
        self._of: dict[Holder, int] = {}
        self._holders: dict[Buffer, int] = {}
        self._relieving = False

    def hold(self, holder: Holder, buffer: Buffer) -> None:
        """`buffer` waits for `holder`."""
        size = len(buffer.wire)
        holders = self._holders[buffer] = self._holders.get(buffer, 0) + 1
        self._change(holder, size, size if holders == 1 else 0)

    def release(self, holder: Holder, buffer: Buffer) -> None:
        """`buffer` does not wait for `holder` any more."""
        size = len(buffer.wire)
        holders = self._holders.pop(buffer) - 1
        if holders:
            self._holders[buffer] = holders
        self._change(holder, -size, 0 if holders else -size)

    def change(self, holder: Holder, size: int) -> None:
        """`size` more bytes wait that are `holder`'s alone; less, if negative."""
        self._change(holder, size, size)

    def _change(self, holder: Holder, size: int, used: int) -> None:
        self.used += used
        of = self._of.get(holder, 0) + size
        if of:
            self._of[holder] = of
        else:
            self._of.pop(holder, None)
        if self.used > self._most and not self._relieving:
            self._relieve()

    def _relieve(self) -> None:
        self._relieving = True
        before, closed = self.used, 0
        try:
            while self.used - sum(size for holder, size in self._of.items() if holder.gone) > self._most:
                largest = max((holder for holder in self._of if not holder.gone), key=self._of.__getitem__)
                largest.give_up()
                closed += 1
        finally:
            self._relieving = False
        if closed:
            log.warning("too much waits: the largest are closed", bytes=before, left=self.used, closed=closed)
