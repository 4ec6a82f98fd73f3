"""Record: one update as the database keeps it, and its place among those of its service."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class Place(NamedTuple):
    """Where a record stands among those of its service: they are ordered by it, and no two have the same."""

    published_at: int
    """Unix milliseconds."""
    epoch: str
    seq: int


class Record(Struct, frozen=True):
    """One update, under the position that the bus gave it."""

    service: str
    epoch: str
    seq: int
    published_at: int
    """Unix milliseconds, of the envelope's timestamp."""
    data: str
    """The payload as JSON text."""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.published_at, self.epoch, self.seq)
