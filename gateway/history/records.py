"""Records as they are sent: as they are stored, or what a filter leaves of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import msgspec

from gateway.filters.filter import Filter
from gateway.messages.http import HistoryRecord
from shared.database import Record
from shared.timestamps import iso_of

Sent = HistoryRecord[msgspec.Raw]

_SLICE = 0.002  # s of filtering, then broadcasts have their turn: 20 records of market_data

_to_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode


async def sent(records: Iterable[Record], only: Filter | None) -> AsyncGenerator[Sent]:
    """`records`, in order, and of their `data` what `only` leaves. Other tasks run in between."""
    began = time.perf_counter()
    for record in records:
        yield HistoryRecord(
            epoch=record.epoch,
            seq=record.seq,
            published_at=iso_of(record.published_at),
            data=msgspec.Raw(record.data.encode() if only is None else _filtered(record.data, only)),
        )
        if time.perf_counter() - began > _SLICE:
            await asyncio.sleep(0)
            began = time.perf_counter()


def _filtered(text: str, only: Filter) -> bytes:
    """What a filter leaves of `data`. What is no object is sent as it is stored, as without a filter."""
    try:
        data: Any = _from_json(text)
    except msgspec.DecodeError:
        return text.encode()
    return _to_json(only.apply(data)) if isinstance(data, dict) else text.encode()
