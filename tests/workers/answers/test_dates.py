"""The dates of upstreams: read to their end, zone included, or not at all."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.answers.dates import feed_time, iso_time

NINE = datetime(2026, 11, 22, 9, tzinfo=UTC).timestamp()
"""Sunday, 22 November 2026, 09:00 UTC."""
HOUR = 3600.0

ISO = {
    "2026-11-22T09:00:00Z": NINE,
    "2026-11-22t09:00:00z": NINE,
    "2026-11-22 09:00:00Z": NINE,
    "2026-11-22 09:00:00 Z": NINE,
    " 2026-11-22T09:00:00Z\n": NINE,
    "2026-11-22T09:00Z": NINE,
    "2026-11-22T09:00:00+00:00": NINE,
    "2026-11-22T09:00:00+0000": NINE,
    "2026-11-22T09:00:00+00": NINE,
    "2026-11-22T09:00:00-00:00": NINE,
    "2026-11-22T09:00:00 +00:00": NINE,
    "2026-11-22T09:00+01:00": NINE - HOUR,
    "2026-11-22T09:00:00-05": NINE + 5 * HOUR,
    "2026-11-22T09:00:00+05:30": NINE - 5.5 * HOUR,
    "2026-11-22T09:00:00-0330": NINE + 3.5 * HOUR,
    "2026-11-22T09:00:00+14:00": NINE - 14 * HOUR,
    "2026-11-22T09:00:00.5Z": NINE + 0.5,
    "2026-11-22T09:00:00,5Z": NINE + 0.5,
    "2026-11-22T09:00:00.123Z": NINE + 0.123,
    "2026-11-22T09:00:00.123456789+00:00": NINE + 0.123456789,
    "2026-11-22T09:00:00." + "5" * 100 + "Z": NINE + 0.5555555555,
    "2026-11-22 09:00:00.000+00": NINE,
    "20261122T090000Z": NINE,
    "20261122T0900Z": NINE,
    "20261122T090000+0100": NINE - HOUR,
    "2026-11-22T23:59:60Z": NINE + 15 * HOUR,
    "2026-11-22T18:59:60-05:00": NINE + 15 * HOUR,
    "2028-02-29T00:00:00Z": datetime(2028, 2, 29, tzinfo=UTC).timestamp(),
    "1969-12-31T23:59:59Z": -1.0,
}
"""ISO 8601 and RFC 3339 as upstreams write it."""

OF_FEEDS = {
    # RFC 822, RFC 2822, RFC 5322
    "Sun, 22 Nov 2026 09:00:00 +0000": NINE,
    "Sun, 22 Nov 2026 09:00:00 -0000": NINE,
    "Sun, 22 Nov 2026 09:00:00 -0500": NINE + 5 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 +05:30": NINE - 5.5 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 +01": NINE - HOUR,
    "Sun, 22 Nov 2026 09:00:00 GMT": NINE,
    "Sun, 22 Nov 2026 09:00:00 gmt": NINE,
    "Sun, 22 Nov 2026 09:00:00 UT": NINE,
    "Sun, 22 Nov 2026 09:00:00 UTC": NINE,
    "Sun, 22 Nov 2026 09:00:00 Z": NINE,
    "Sun, 22 Nov 2026 09:00:00Z": NINE,
    "Sun, 22 Nov 2026 09:00:00 EST": NINE + 5 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 EDT": NINE + 4 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 CST": NINE + 6 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 CDT": NINE + 5 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 MST": NINE + 7 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 MDT": NINE + 6 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 PST": NINE + 8 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 PDT": NINE + 7 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 +0000 (UTC)": NINE,
    "Sun, 22 Nov 2026 09:00:00 -0500 (Eastern Standard Time)": NINE + 5 * HOUR,
    "Sun, 22 Nov 2026 09:00:00 GMT+0100": NINE - HOUR,
    "Sun, 22 Nov 2026 09:00:00.250 GMT": NINE + 0.25,
    "Sun, 22 Nov 2026 09:00 GMT": NINE,
    "Sun, 22 Nov 2026 9:00:00 GMT": NINE,
    "Sun, 22 Nov 26 09:00:00 GMT": NINE,
    "22 Nov 2026 09:00:00 GMT": NINE,
    "22 Nov 26 09:00 EST": NINE + 5 * HOUR,
    "Sun,22 Nov 2026 09:00:00 GMT": NINE,
    "Sun 22 Nov 2026 09:00:00 GMT": NINE,
    "SUN, 22 NOV 2026 09:00:00 GMT": NINE,
    "Sunday, 22 November 2026 09:00:00 +0000": NINE,
    "Sun, 22  Nov 2026\n 09:00:00\tGMT ": NINE,
    "Tue, 1 Sep 2026 09:00:00 GMT": NINE - 82 * 24 * HOUR,
    "Tue, 01 Sept. 2026 09:00:00 GMT": NINE - 82 * 24 * HOUR,
    "Tue, 22 Nov 94 09:00:00 GMT": datetime(1994, 11, 22, 9, tzinfo=UTC).timestamp(),
    "Thu, 22 Nov 2026 09:00:00 GMT": NINE,  # a Sunday
    "Sun, 22 Nov 2026 18:59:60 -0500": NINE + 15 * HOUR,
    # RFC 850, JavaScript, date(1), Americans
    "Sunday, 22-Nov-26 09:00:00 GMT": NINE,
    "Sun Nov 22 2026 04:00:00 GMT-0500 (Eastern Standard Time)": NINE,
    "Sun Nov 22 09:00:00 UTC 2026": NINE,
    "November 22, 2026 09:00:00 GMT": NINE,
    # ISO with a named zone; Go's String(); SQL's with a zone; Java's ZonedDateTime
    "2026-11-22T09:00:00 EST": NINE + 5 * HOUR,
    "2026-11-22T09:00:00EST": NINE + 5 * HOUR,
    "2026-11-22T09:00:00 GMT": NINE,
    "2026-11-22 09:00:00 UTC": NINE,
    "2026-11-22 09:00:00 PDT": NINE + 7 * HOUR,
    "2026-11-22 09:00:00 +0000 UTC": NINE,
    "2026-11-22 09:00:00.5 -0500 EST": NINE + 5 * HOUR + 0.5,
    "2026-11-22 09:00:00 -0500 EST m=+0.1": NINE + 5 * HOUR,
    "2026-11-22 09:00:00.123456789 +0000 UTC m=+12.000000001": NINE + 0.123456789,
    "2026-11-22 09:00:00 +0800 CST": NINE - 8 * HOUR,
    "2026-11-22 09:00:00 +0530 IST": NINE - 5.5 * HOUR,
    "2026-11-22 09:00:00 +0300 +03": NINE - 3 * HOUR,
    "2026-11-22 09:00:00-05": NINE + 5 * HOUR,
    "2026-11-22T10:00:00+01:00[Europe/Paris]": NINE,
}
"""Dates as feeds have them, beside ISO."""

NONE = (
    "",
    " ",
    "yesterday",
    "1795338000",
    "1795338000000",
    "{}",
    # no zone, or one that is not known to all
    "Sun, 22 Nov 2026 09:00:00",
    "Sun Nov 22 09:00:00 2026",
    "2026-11-22T09:00:00",
    "2026-11-22 09:00:00",
    "20261122T090000",
    *(f"Sun, 22 Nov 2026 09:00:00 {name}" for name in ("IST", "BST", "AST", "CET", "CEST", "JST", "MSK", "EET", "WET")),
    *(f"2026-11-22T09:00:00 {name}" for name in ("IST", "BST", "CET", "Europe/Paris", "local", "A", "M")),
    *(f"Sun, 22 Nov 2026 09:00:00 {letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXY"),
    "2026-11-22T09:00:00[Europe/Paris]",
    "Sun Nov 22 09:00:00 CET 2026",
    # offsets that no zone has, or that contradict
    "Sun, 22 Nov 2026 09:00:00 +1401",
    "Sun, 22 Nov 2026 09:00:00 -1500",
    "Sun, 22 Nov 2026 09:00:00 +9999",
    "Sun, 22 Nov 2026 09:00:00 +0060",
    "2026-11-22T09:00:00+15:00",
    "2026-11-22T09:00:00+24:00",
    "2026-11-22T09:00:00+1",
    "2026-11-22T09:00:00+100",
    "2026-11-22T09:00:00+01:00:00",
    "2026-11-22T09:00:00+-01:00",
    "2026-11-22T09:00:00 GMT+1",
    "2026-11-22 09:00:00 +0500 UTC",
    "2026-11-22 09:00:00 +0300 +04",
    "2026-11-22 09:00:00 EST -0500",
    "2026-11-22T09:00:00ZZ",
    # a day, a week, a month: midnight would be invented
    "2026-11-22",
    "20261122",
    "2026-11",
    "2026-W47-7",
    "2026-W47-7T09:00:00Z",
    "2026-326",
    "2026-326T09:00:00Z",
    "Sun, 22 Nov 2026",
    "Sun, 22 Nov 2026 GMT",
    "2026-11-22Z",
    "2026-11-22T09Z",
    "2026-11-22T9:00:00Z",
    # slashes: which is the day?
    "11/12/2026 09:00:00 GMT",
    "22/11/2026 09:00:00 +0000",
    "2026/11/22 09:00:00 +0000",
    "22/Nov/2026:09:00:00 +0000",
    "11-12-2026 09:00:00 GMT",
    "22.11.2026 09:00:00 GMT",
    # no such moment
    "Mon, 31 Nov 2026 09:00:00 GMT",
    "2026-02-29T09:00:00Z",
    "2026-13-01T09:00:00Z",
    "2026-00-10T09:00:00Z",
    "0000-01-01T09:00:00Z",
    "Sun, 0 Nov 2026 09:00:00 GMT",
    "2026-11-22T24:00:00Z",
    "2026-11-22T25:00:00Z",
    "2026-11-22T09:60:00Z",
    "2026-11-22T09:00:60Z",
    "2026-11-22T09:00:61Z",
    "2026-11-22T23:59:61Z",
    # other digits, other languages, other clocks
    "٢٠٢٦-١١-٢٢T٠٩:٠٠:٠٠Z",
    "\uff12026-11-22T09:00:00Z",
    "2026−11−22T09:00:00Z",
    "2026-11-22T09:00:00−05:00",
    "dim., 22 novembre 2026 09:00:00 GMT",
    "So, 22 Nov 2026 09:00:00 GMT",
    "Sun, 22 Dez 2026 09:00:00 GMT",
    "Sun, 22 Mai 2026 09:00:00 GMT",
    "Вс, 22 ноя 2026 09:00:00 GMT",
    "Sun, 22 Nov 2026 09:00:00 PM EST",
    "Sun, 22 Nov 2026 09:00 AM GMT",
    # what is before or after
    "Sun, 22 Nov 2026 09:00:00 GMT x",
    "Sun, 22 Nov 2026 09:00:00 GMT.",
    "Sun, 22 Nov 2026 09:00:00 +0000 +0100",
    "Sun, 22 Nov 2026 09:00:00 +0000, updated 10:00",
    "Published Sun, 22 Nov 2026 09:00:00 GMT",
    "Xyz, 22 Nov 2026 09:00:00 GMT",
    "Sun, 22nd Nov 2026 09:00:00 GMT",
    "Sun, 22 Nov 126 09:00:00 GMT",
    "Sun, 22 Nov 02026 09:00:00 GMT",
    "Sun, 22-Nov 2026 09:00:00 GMT",
    "Sun, 22 Nov 2026 09:00:00 EST5EDT",
    "Sun, 22 Nov 2026 09:0:00 GMT",
    "2026-11-22T09:00:00Z2026-11-22T09:00:00Z",
    "2026-11-22T09:00:00.Z",
    "2026-11-22T09.5Z",
    "2026-11-22x09:00:00Z",
    "2026-11-22T09:00:00Z\0",
    "2026-11-22T09:00:00." + "5" * 200 + "Z",
)
"""What is no date, or not a whole one."""


@pytest.mark.parametrize(("text", "seconds"), [*ISO.items(), *OF_FEEDS.items()])
def test_a_feeds_date(text: str, seconds: float) -> None:
    """Every form seen in feeds is read whole, to the moment that it means."""
    assert feed_time(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(("text", "seconds"), ISO.items())
def test_an_iso_date(text: str, seconds: float) -> None:
    """ISO 8601 in every spelling."""
    assert iso_time(text) == iso_time(text, utc=True) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_whole_date_is_none(text: str) -> None:
    """No zone, an unknown one, a day without a time, or anything left over: no time rather than a guess."""
    assert feed_time(text) is None
    assert iso_time(text) is None


@pytest.mark.parametrize("text", OF_FEEDS)
def test_iso_is_only_iso(text: str) -> None:
    """Where ISO is specified, a zone's name is a mistake."""
    assert iso_time(text) in (None, OF_FEEDS[text])
    assert (iso_time(text) is None) == (not re.fullmatch(r"[\d T:-]+", text))


def test_a_format_may_mean_utc() -> None:
    """A format that specifies UTC for times without a zone is read so, and a zone that it has all the same counts."""
    assert iso_time("2026-11-22 09:00:00", utc=True) == NINE
    assert iso_time("2026-11-22T09:00:00.5", utc=True) == NINE + 0.5
    assert iso_time("2026-11-22 09:00:00-05:00", utc=True) == NINE + 5 * HOUR
    for text in ("2026-11-22", "2026-11-22 09:00:00 IST", "2026-11-22 09:00:00+15", "2026-11-31 09:00:00"):
        assert iso_time(text, utc=True) is None


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=zones)  # noqa: DTZ001


@given(moments)
def test_what_libraries_write_is_read(moment: Any) -> None:
    """What Python writes as ISO and as RFC 5322 is the moment that it was."""
    assert feed_time(moment.isoformat()) == iso_time(moment.isoformat()) == pytest.approx(moment.timestamp(), abs=1e-5)
    assert feed_time(format_datetime(moment)) == moment.replace(microsecond=0).timestamp()


@given(st.text() | st.text("0123456789-+:T Zsunov,.GMETC/[]()=", max_size=40))
@example("Sun, 22 Nov 2026 09:00:00 +0000" + "(" * 150)
@example("2026-11-22T09:00:00+00:00[" + "A" * 170)
def test_any_text_is_a_date_or_none(text: str) -> None:
    """No text raises anything."""
    assert isinstance(feed_time(text), float | None)


@given(st.sampled_from([*ISO, *OF_FEEDS]), st.text(min_size=1, max_size=8))
def test_what_follows_a_date_spoils_it(date: str, rest: str) -> None:
    """Nothing that follows a date changes its moment: it is a part of the date, or the date is none."""
    if rest.strip() and not re.search(r"[\d()\[]", rest):
        assert feed_time(date + rest) in (None, OF_FEEDS.get(date, ISO.get(date)))
