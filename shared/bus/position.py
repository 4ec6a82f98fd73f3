"""Position: where an update stands among those of its service."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_EPOCH = re.compile(r"([0-9a-f]{14})[0-9a-f]{16}")
"""The microseconds at which an epoch began, by the clock of Redis, then a random part: `publish.lua` makes it."""

_MOST_DIGITS = 15  # Redis' Lua counts in floats, which are exact up to 2^53


class Position(NamedTuple):
    """The position of an update among those of its service: `seq` counts +1 within an `epoch`."""

    epoch: str
    seq: int

    @classmethod
    def read(cls, meta: Any) -> Position | None:
        """The position that a service's meta has: the fields `epoch` and `seq`, as Redis answers them.

        None where nothing was published yet, and where others have written something else there.
        """
        epoch, seq = meta or (None, None)
        if epoch is None or seq is None or not seq.isdigit() or len(seq) > _MOST_DIGITS:
            return None
        return cls(epoch.decode(errors="replace"), int(seq))


def began(epoch: str) -> float | None:
    """When an epoch began (unix seconds, by the clock of Redis); None if its name does not say it."""
    found = _EPOCH.fullmatch(epoch)
    return int(found[1], 16) / 1_000_000 if found else None


class Gap(NamedTuple):
    """Updates of one epoch that are lost: published, and no longer in the stream. Both ends are among them."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1
