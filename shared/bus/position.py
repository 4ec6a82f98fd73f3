"""Position: where an update stands among those of its service."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """The position of an update among those of its service: `seq` counts +1 within an `epoch`."""

    epoch: str
    seq: int


class Gap(NamedTuple):
    """Updates of one epoch that are lost: published, and no longer in the stream. Both ends are among them."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1
