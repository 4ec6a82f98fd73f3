"""UTC times as every coinwire message carries them: ISO 8601, milliseconds, `Z`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


def iso(seconds: float) -> str:
    """Unix `seconds` as `2025-11-11T10:30:00.000Z`, rounded down to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def iso_of(milliseconds: int) -> str:
    """Unix `milliseconds` as `iso` writes them, exact for every year up to 9999."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def now_iso() -> str:
    """The present, as `iso` writes it."""
    return iso(time.time())
