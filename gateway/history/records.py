"""Records as they are sent: as they are stored, or what a filter leaves of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any

import msgspec

from gateway.filters.filter import Filter
from gateway.messages.http import HistoryRecord
from shared.database import Record
from shared.timestamps import iso_of

Sent = HistoryRecord[msgspec.Raw]

_SLICE = 0.002  # s of one turn of the loop for the filters of all answers: 20 records of market_data

_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode


async def sent(
    records: Iterable[Record], only: Filter | None = None, turns: asyncio.Semaphore | None = None
) -> AsyncGenerator[Sent]:
    """`records`, in order, and of their `data` what `only` leaves. Other tasks run in between.

    Of all that share `turns`, one filters in a turn of the loop.
    """
    left = iter(records)
    while True:
        async with turns or contextlib.nullcontext():
            slice_ = [*_slice(left, only)]
            await asyncio.sleep(0)
        if not slice_:
            return
        for each in slice_:
            yield each


def _slice(left: Iterator[Record], only: Filter | None) -> Iterator[Sent]:
    """Some of what is left, for as long as a slice."""
    began = time.perf_counter()
    for record in left:
        yield HistoryRecord(
            epoch=record.epoch,
            seq=record.seq,
            published_at=iso_of(record.published_at),
            data=msgspec.Raw(record.data.encode() if only is None else _filtered(record.data, only)),
        )
        if time.perf_counter() - began > _SLICE:
            return


def _filtered(text: str, only: Filter) -> bytes:
    """What a filter leaves of `data`. What is no object is sent as it is stored, as without a filter."""
    try:
        data: Any = _from_json(text)
        return _to_json(only.apply(data)) if isinstance(data, dict) else text.encode()
    except (msgspec.DecodeError, RecursionError):  # the recorder's stack has more left for nesting than a request's
        return text.encode()
