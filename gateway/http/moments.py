"""Moments in a query: ISO 8601 or unix seconds, as unix milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

LATEST = 253_402_300_799_999
"""Unix ms of the end of the year 9999, the last that ISO 8601 with four digits has."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def read_time(text: str, *, up: bool) -> int:
    """A time of the query as unix ms: ISO 8601 (UTC unless it has a zone), or unix seconds.

    Fractions of a millisecond are rounded `up` or down, into the range. Raises ValueError that states what is wrong.
    """
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    if re.fullmatch(r"[0-9]{1,17}(\.[0-9]{1,9})?", text):
        milliseconds = int((Decimal(text) * 1000).to_integral_value(rounding))
        if milliseconds > LATEST:
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
    if not 0 <= milliseconds <= LATEST:
        raise ValueError("not a time from 1970 to 9999")
    return milliseconds
