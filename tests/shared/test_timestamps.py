"""Times as every message carries them (docs/reference/protocol.md)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.timestamps import iso, iso_of, now_iso


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1762857000, "2025-11-11T10:30:00.000Z"),
        (1762857000.9999, "2025-11-11T10:30:00.999Z"),
        (1709251199.5, "2024-02-29T23:59:59.500Z"),
    ],
)
def test_times_are_utc_with_milliseconds_and_z(seconds: float, text: str) -> None:
    """ISO 8601, rounded down to the millisecond."""
    assert iso(seconds) == text


@given(st.integers(0, 4_102_444_800_000))
def test_milliseconds_survive(milliseconds: int) -> None:
    """A provider's milliseconds come out as they went in, until the year 2100."""
    assert round(datetime.fromisoformat(iso(milliseconds / 1000)).timestamp() * 1000) == milliseconds


def test_now_is_now() -> None:
    """`now_iso` is the present, to the millisecond."""
    before = iso(time.time())
    assert before <= now_iso() <= iso(time.time())
    assert datetime.fromisoformat(before).tzinfo == UTC


@given(st.integers(0, 253_402_300_799_999))
def test_whole_milliseconds_come_back_exactly(milliseconds: int) -> None:
    """No millisecond of any year up to 9999 is lost on the way through text."""
    since = datetime.fromisoformat(iso_of(milliseconds)) - datetime(1970, 1, 1, tzinfo=UTC)
    assert since // timedelta(milliseconds=1) == milliseconds
