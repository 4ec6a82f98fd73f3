"""What a request for the history asks for: times and cursors of the query, validated.

A cursor holds all that the next page needs: the service, the range of the first request, and the place of the last
record sent. Of the filter it holds a digest only, because filters can be long: they are repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from gateway.http.cursors import DAMAGED, HISTORY, seal, unseal
from gateway.http.moments import LATEST
from gateway.http.parameters import Asked, Parameters, cursor, integer, moment
from gateway.messages.faults import echo
from shared.database import Record, SortKey

DEFAULT_LIMIT = 100
"""Records per page unless `limit` is given: about 1 MB of market_data, 100 kB of most others."""
LARGEST_LIMIT = 1000
"""Records per page; more rows would block the event loop for more than a few milliseconds."""
DEFAULT_SECONDS = 3600
"""How far back a request without `from` and `cursor` reaches: one hour."""


@dataclass(frozen=True, slots=True)
class Range:
    """Updates of a service from `first` to `last` (unix ms, both inclusive), after a place in the history."""

    service: str
    first: int
    last: int
    after: SortKey | None = None
    filter: str = ""
    """The digest of the filter; empty without one."""


# A forged cursor may ask for any range, but not for what a database can't take: integers over 64 bits, NUL.
_Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=LATEST)]


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    service: str
    first: _Milliseconds
    last: _Milliseconds
    published_at: _Milliseconds
    epoch: Annotated[str, msgspec.Meta(pattern=r"^[^\x00]*$")]
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    filter: str = ""


def encode_cursor(asked: Range, last: Record) -> str:
    """The cursor for what follows `last` within `asked`."""
    place = (asked.service, asked.first, asked.last, *last.sort_key)  # also what gateways without filters read
    return seal(HISTORY, msgspec.msgpack.encode((*place, asked.filter) if asked.filter else place))


def decode_cursor(text: str) -> Range:
    """The range that a cursor stands for. Raises ValueError for any text that `encode_cursor` did not make."""
    packed = unseal(HISTORY, text)
    try:
        cursor = msgspec.msgpack.decode(packed, type=_Cursor)
    except msgspec.MsgspecError:
        raise ValueError(DAMAGED) from None
    after = SortKey(cursor.published_at, cursor.epoch, cursor.seq)
    return Range(cursor.service, cursor.first, cursor.last, after, cursor.filter)


FROM = moment("from", "Default: an hour before `to`", up=True)
TO = moment("to", "Default: now", up=False)
LIMIT = integer("limit", "Records per page. A page may be shorter because of its size", 1, LARGEST_LIMIT, DEFAULT_LIMIT)
CURSOR = cursor("`next_cursor` of the previous page. It includes `from` and `to`", decode_cursor)
PARAMETERS = Parameters((LIMIT, FROM, TO, CURSOR))


def range_of(service: str, asked: Asked, now: float) -> Range:
    """The range that `from`, `to` and `cursor` ask for. Raises ValueError that states which is wrong.

    A cursor includes the range of the first request; `from` and `to` may be repeated beside it, but not changed.
    """
    first, last, place = asked[FROM], asked[TO], asked[CURSOR]
    digest = asked.filter.digest if asked.filter else ""
    if place is None:
        end = int(now * 1000) if last is None else last
        begin = max(0, end - DEFAULT_SECONDS * 1000) if first is None else first
        if begin > end:
            raise ValueError("from must not be in the future" if last is None else "from must not be after to")
        return Range(service, begin, end, filter=digest)
    if place.service != service:
        raise ValueError(f"cursor is one of {echo(place.service)}")
    if first not in (None, place.first) or last not in (None, place.last):
        raise ValueError("cursor is one of another range: leave from and to as they were, or leave them out")
    if place.filter != digest:
        raise ValueError("cursor is one of another filter: leave filters as they were")
    return place
