"""Record: one update as the database stores it, and the key that records are sorted by."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class SortKey(NamedTuple):
    """The order of a service's records. No two records of a service have the same key."""

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
    """Unix milliseconds, from the timestamp of the envelope."""
    data: str
    """The payload as JSON text."""

    @property
    def sort_key(self) -> SortKey:
        """Its key among the records of its service."""
        return SortKey(self.published_at, self.epoch, self.seq)
