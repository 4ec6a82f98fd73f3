"""What a request for the history asks for: times and cursors of the query, validated.

A cursor holds all that the next page needs: the service, the range of the first request, and the place of the last
record sent. Every gateway reads the cursors of the others. A cursor holds nothing that a client could not ask for
openly; its checksum detects damage (a truncated link, an edit by hand) and protects no secret.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Annotated

import msgspec

from shared.database import Record, SortKey

DEFAULT_SECONDS = 3600
"""How far back a request without `from` and `cursor` reaches: one hour."""

_LATEST = 253_402_300_799_999  # unix ms of the end of the year 9999, the last that ISO 8601 with four digits has
_LONGEST_CURSOR = 2048  # characters; a real one has about 150
_CHECK_BYTES = 6  # of a BLAKE2 digest: one damaged cursor in 2**48 passes
_DAMAGED = "cursor is damaged: take next_cursor as it is, or begin anew without"
_FORM = b"pages 1"  # change it with the content of cursors: old ones are then refused

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Range:
    """Updates of a service from `first` to `last` (unix ms, both inclusive), after a place in the history."""

    service: str
    first: int
    last: int
    after: SortKey | None = None


# A forged cursor may ask for any range, but not for what a database can't take: integers over 64 bits, NUL.
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=_LATEST)]


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    service: str
    first: _Milliseconds
    last: _Milliseconds
    published_at: _Milliseconds
    epoch: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


def encode_cursor(asked: Range, last: Record) -> str:
    """The cursor for what follows `last` within `asked`, as text that needs no escaping in a URL."""
    packed = msgspec.msgpack.encode(_Cursor(asked.service, asked.first, asked.last, *last.sort_key))
    return urlsafe_b64encode(_check(packed) + packed).rstrip(b"=").decode()


def decode_cursor(text: str) -> Range:
    """The range that a cursor stands for. Raises ValueError for any text that `encode_cursor` did not make."""
    if len(text) > _LONGEST_CURSOR:
        raise ValueError("cursor is too long to be one of ours")
    try:
        raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(raw[_CHECK_BYTES:], type=_Cursor)
    except (ValueError, msgspec.MsgspecError):  # binascii.Error is a ValueError
        raise ValueError(_DAMAGED) from None
    packed = raw[_CHECK_BYTES:]
    if raw[:_CHECK_BYTES] != _check(packed) or urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise ValueError(_DAMAGED)
    after = SortKey(cursor.published_at, cursor.epoch, cursor.seq)
    return Range(cursor.service, cursor.first, cursor.last, after)


def _check(packed: bytes) -> bytes:
    return hashlib.blake2s(packed, digest_size=_CHECK_BYTES, person=_FORM).digest()


def range_of(service: str, query: Mapping[str, str], now: float) -> Range:
    """The range that `from`, `to` and `cursor` of a query ask for. Raises ValueError that states which is wrong.

    A cursor includes the range of the first request; `from` and `to` may be repeated beside it, but not changed.
    """
    given = {name: _time(name, query[name]) for name in ("from", "to") if name in query}
    if "cursor" not in query:
        last = given.get("to", int(now * 1000))
        first = given.get("from", max(0, last - DEFAULT_SECONDS * 1000))
        if first > last:
            raise ValueError("from must not be after to" if "to" in query else "from must not be in the future")
        return Range(service, first, last)
    asked = decode_cursor(query["cursor"])
    if asked.service != service:
        raise ValueError(f"cursor is one of {asked.service}")
    if given.get("from", asked.first) != asked.first or given.get("to", asked.last) != asked.last:
        raise ValueError("cursor is one of another range: leave from and to as they were, or leave them out")
    return asked


def _time(name: str, text: str) -> int:
    try:
        return read_time(text, up=name == "from")
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def read_time(text: str, *, up: bool) -> int:
    """A time of the query as unix ms: ISO 8601 (UTC unless it has a zone), or unix seconds.

    Fractions of a millisecond are rounded `up` or down, into the range. Raises ValueError that states what is wrong.
    """
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    if re.fullmatch(r"[0-9]{1,17}(\.[0-9]{1,9})?", text):
        milliseconds = int((Decimal(text) * 1000).to_integral_value(rounding))
        if milliseconds > _LATEST:
            raise ValueError("beyond the year 9999: numbers are unix seconds, not milliseconds")
        return milliseconds
    head, space, zone = text.rpartition(" ")
    if space and ":" in head:  # an unescaped +, which means a space in a query
        text = f"{head}+{zone}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("neither ISO 8601 (2025-11-11T10:30:00Z) nor unix seconds") from None
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    milliseconds = -(-since // _MILLISECOND) if up else since // _MILLISECOND
    if not 0 <= milliseconds <= _LATEST:
        raise ValueError("not a time from 1970 to 9999")
    return milliseconds
