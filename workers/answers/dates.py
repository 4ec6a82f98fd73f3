"""Reads the dates of upstreams. A date is read to its end, zone included, or it is none: nothing is guessed. Pure.

Libraries read too much: feedparser and email.utils take a prefix, or the wrong zone for a name; dateutil fills in what
is missing. ADR 34 compares them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_LONGEST = 200
"""Characters of a date; the longest known form, JavaScript's with the zone's name, has 70."""
_FURTHEST = 14 * 3600
"""Seconds from UTC of the furthest zone, Kiribati's; an offset beyond is a mistake, and its time unknown."""
_UNIVERSAL = {"Z": 0, "UT": 0, "UTC": 0, "GMT": 0}
_AMERICAN = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
_ZONES = _UNIVERSAL | _AMERICAN
"""Hours from UTC of the names that RFC 822 (section 5.1) and RFC 5322 (4.3) define, and UTC. Other names have several
meanings (IST, BST, AST) or none. So have the military letters but Z: RFC 822 had their sign wrong.
"""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_DAYS = "(?:Mon(?:day)?|Tue(?:s(?:day)?)?|Wed(?:nesday)?|Thu(?:r(?:s(?:day)?)?)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)"
_NAMED = (
    r"(?P<month>Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?"
_OFFSET = r"(?:[+-]\d\d(?::?\d\d)?)"
# After an offset: Go's abbreviation and monotonic clock, a comment of RFC 5322, Java's region. The offset decides.
_ZONE = (
    rf" ?(?:(?P<name>{'|'.join(_ZONES)})|(?:GMT|UTC)?(?P<offset>{_OFFSET})(?: (?P<label>[A-Z]{{1,5}}|{_OFFSET}))?)"
    r"(?: m=[+-]\d+\.\d+)?(?: ?\([^()]*\))?(?:\[[A-Z][\w/+-]*\])?"
)
_ISO = (
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ]"
    r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
)
_BASIC_ISO = (
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)T"
    r"(?P<hour>\d\d)(?P<minute>\d\d)(?:(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
)


def _forms(*forms: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(form, re.IGNORECASE | re.ASCII) for form in forms)


_OF_FEEDS = _forms(
    # RFC 822 and its successors; with hyphens, RFC 850. Day before month: the name of the month shows it.
    rf"(?:{_DAYS}(?:, ?| ))?(?P<day>\d{{1,2}})(?P<gap>[ -]){_NAMED}(?P=gap)(?P<year>\d{{4}}|\d\d) {_CLOCK}{_ZONE}",
    # JavaScript's toString, and Americans.
    rf"(?:{_DAYS}(?:, ?| ))?{_NAMED} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}}),? {_CLOCK}{_ZONE}",
    # date(1) of Unix.
    rf"{_DAYS} {_NAMED} (?P<day>\d{{1,2}}) {_CLOCK} (?P<name>{'|'.join(_ZONES)}) (?P<year>\d{{4}})",
    # ISO 8601 and RFC 3339; with a space, SQL's and Go's.
    _ISO + _ZONE,
    _BASIC_ISO + _ZONE,
)
_OF_ISO = _forms(
    rf"{_ISO}(?: ?(?P<name>Z)| ?(?P<offset>{_OFFSET}))?", rf"{_BASIC_ISO}(?:(?P<name>Z)|(?P<offset>{_OFFSET}))?"
)


def feed_time(text: str) -> float | None:
    """Unix seconds of a feed's date, in any of the forms seen in feeds; None unless it is whole and has a known zone.

    Forms: RFC 822 (which RSS 2.0 prescribes, https://www.rssboard.org/rss-specification), RFC 850, RFC 3339 (Atom, RFC
    4287), what Go, JavaScript, SQL and date(1) print. A day without a time is none, nor is anything with slashes: the
    order of day and month differs by country. The name of the weekday adds nothing and is not compared.
    """
    return _read(text, _OF_FEEDS)


def iso_time(text: str, *, utc: bool = False) -> float | None:
    """Unix seconds of an ISO 8601 date and time, None unless it is whole.

    `utc` is for formats whose specification says that times without a zone are in UTC; otherwise they are none.
    """
    return _read(text, _OF_ISO, utc=utc)


def unix_seconds(moment: datetime | None) -> float | None:
    """Unix seconds of a time that msgspec has read, for a field typed as `Moment`; None for None.

    msgspec refuses what it can't read to the end, but takes offsets of up to a day: with one of a zone that does not
    exist it is None.
    """
    if moment is None or abs((moment.utcoffset() or timedelta()).total_seconds()) > _FURTHEST:
        return None
    return moment.timestamp()


def _read(text: str, forms: tuple[re.Pattern[str], ...], *, utc: bool = False) -> float | None:
    if len(text) > _LONGEST:
        return None
    folded = " ".join(text.split())
    found = next((match for form in forms if (match := form.fullmatch(folded))), None)
    if found is None:
        return None
    parts = found.groupdict()
    offset = _seconds_from_utc(parts, utc=utc)
    if offset is None:
        return None
    month, second = parts["month"], int(parts["second"] or 0)
    try:
        minute = datetime(
            _year(parts["year"]),
            int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1,
            int(parts["day"]),
            int(parts["hour"]),
            int(parts["minute"]),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    start = minute.timestamp() - offset
    # A leap second is the last one of a day of UTC, and has the unix time of the next.
    if second > 60 or (second == 60 and start % 86_400 != 86_340):
        return None
    return start + second + float(f"0.{parts['fraction'] or 0}")


def _year(digits: str) -> int:
    """A year; one of two digits as in RFC 5322, section 4.3."""
    year = int(digits)
    return year if len(digits) == 4 else year + (2000 if year < 50 else 1900)


def _seconds_from_utc(parts: dict[str, str | None], *, utc: bool) -> int | None:
    """The offset of a date's zone; None if it has none, or one that contradicts itself."""
    if name := parts.get("name"):
        return _ZONES[name.upper()] * 3600
    if not (offset := parts.get("offset")):
        return 0 if utc else None
    seconds = _offset(offset)
    if label := parts.get("label"):
        # Go repeats the zone's name: one for UTC beside another offset shows that one of both is wrong. Others have
        # several meanings (CST is also China's).
        again = _UNIVERSAL.get(label.upper(), seconds) if label.isalpha() else _offset(label)
        if again != seconds:
            return None
    return seconds


def _offset(text: str) -> int | None:
    digits = text[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    if int(digits[2:]) > 59 or seconds > _FURTHEST:
        return None
    return -seconds if text[0] == "-" else seconds
