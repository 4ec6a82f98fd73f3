"""Batches: several updates of the past in one buffer, encoded and joined once for everybody who missed them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from gateway.filters.filter import Filter
from gateway.frames import WRITE_BYTES, Buffer, Form, join
from gateway.updates import Update
from shared.bus import Position

_BATCH = 64  # updates, at multiples of 64 of seq, so that clients that left at different updates share most batches
_FILTERED = 16  # of them, where a filter makes each cost more: all of a batch are built in one turn of the loop
_KEPT_BYTES = 8 << 20  # of batches, encoded and joined: 128 full ones; older ones are built again
_KEPT_SECONDS = 10.0  # without use; longer than clients of a lost gateway take to come back

_Key = tuple[str, Position, int, Form, bytes | None]  # the last is the filter's fingerprint


class Updates(Protocol):
    """Updates in order, one after another."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Update: ...


class Batch(NamedTuple):
    """Some updates in one buffer."""

    updates: int
    buffer: Buffer
    cost: int
    """Bytes that it took: those of the buffer, or, where more was left out, those of the updates on the bus."""


class Batches:
    """Batches that were built lately, for everybody who wants the same."""

    def __init__(self, size: int = _KEPT_BYTES, seconds: float = _KEPT_SECONDS) -> None:
        """At most `size` bytes of them are kept, and none for longer than two times `seconds` without use."""
        self.built = 0
        """How many were built."""
        self._half = size // 2
        self._seconds = seconds
        self._bytes = 0  # of the younger
        # Two generations: what is used moves to the younger, and the older is dropped.
        self._young: dict[_Key, Batch] = {}
        self._old: dict[_Key, Batch] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._young.keys() | self._old.keys())

    def first(self, left: Updates, form: Form, only: Filter | None = None) -> Batch:
        """The batch that begins with the first of `left`: up to the next multiple of 64, or as much as 64 KiB hold."""
        update = left[0]
        (epoch, seq) = update.position
        whole = _BATCH if only is None else _FILTERED
        most = min(len(left), whole - (seq - 1) % whole)
        while left[most - 1].position != (epoch, seq + most - 1):
            most -= 1  # an epoch ends in between, or updates are missing
        key = (update.service, update.position, most, form, None if only is None else only.fingerprint)
        batch = self._young.get(key)
        if batch is None:
            batch = self._old.get(key) or self._build(left, most, form, only)
            self._keep(key, batch)
        return batch

    def _build(self, left: Updates, most: int, form: Form, only: Filter | None) -> Batch:
        self.built += 1
        frames = [left[0].frame(form, only)]
        size = len(frames[0].wire)
        while len(frames) < most:
            frame = left[len(frames)].frame(form, only)
            size += len(frame.wire)
            if size > WRITE_BYTES:
                break
            frames.append(frame)
        if len(frames) < most:
            frames = frames[: _shared(left[0].position.seq - 1, len(frames))]
        (buffer,) = join(frames)
        cost = len(buffer.wire)
        if only is not None:
            cost = max(cost, sum(left[number].size for number in range(len(frames))))
        return Batch(len(frames), buffer, cost)

    def _keep(self, key: _Key, batch: Batch) -> None:
        self._young[key] = batch
        self._bytes += 2 * len(batch.buffer.wire)  # the frames, and the joined buffer
        if self._bytes > self._half:
            self._age()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    def _age(self) -> None:
        self._old, self._young, self._bytes = self._young, {}, 0

    def _expire(self) -> None:
        self._age()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire) if self._old else None


def _shared(before: int, most: int) -> int:
    """How many of at most `most` updates, behind `before` others, make a batch that ends where those of others do.

    That is at a multiple of 32, 16, 8 and so on, the largest that is among them.
    """
    step = _BATCH // 2
    while (end := (before + most) // step * step) <= before:
        step //= 2
    return end - before
