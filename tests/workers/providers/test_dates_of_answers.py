"""Every date of every provider: its moment, or none; never another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from shared.errors import ProviderError
from tests.places import RECORDED
from tests.workers.answers.test_dates import ISO, NONE, OF_FEEDS
from workers.providers import load_provider, provider_class


class Place(NamedTuple):
    """Where an answer has a date, and what becomes of it."""

    provider: str
    parser: str
    at: tuple[str | int, ...]
    read: Callable[[Any], float | None]
    rows: tuple[str, ...] | None = None
    """Where the list is in whose first row the date is."""


PLACES = [
    Place("coingecko", "markets", (0, "last_updated"), lambda rows: rows[0].as_of, ()),
    Place(
        "coinpaprika",
        "tickers",
        (0, "last_updated"),
        lambda rows: {row.symbol: row.as_of for row in rows}.get("ETH"),
        (),
    ),
    Place(
        "coinmarketcap", "listings", ("data", 0, "quote", "USD", "last_updated"), lambda rows: rows[0].as_of, ("data",)
    ),
    Place("coinmarketcap", "fear_and_greed", ("data", "update_time"), lambda index: index.as_of),
    Place("coinmetrics", "days", ("data", 0, "time"), lambda rows: rows[0].day, ("data",)),
    Place("cryptopanic", "posts", ("results", 0, "published_at"), lambda rows: rows[0].published, ("results",)),
    Place("blockchair", "bitcoin", ("data", "best_block_time"), lambda stats: stats.block_time),
    Place("blockchair", "bitcoin", ("context", "cache", "since"), lambda stats: stats.as_of),
]
WITHOUT_ZONE = {"2026-11-22T09:00:00", "2026-11-22 09:00:00", "20261122T090000"}
"""No dates, except for Blockchair, which specifies UTC."""


def read(place: Place, body: Any) -> float | None:
    """The date that the parser makes of an answer; None if it refuses the answer."""
    provider = load_provider(place.provider, "key" if provider_class(place.provider).needs_key else None)
    try:
        return place.read(provider.parsers[place.parser](json.dumps(body).encode()))
    except ProviderError:
        return None


def with_date(place: Place, text: str) -> Any:
    """The recorded answer with this date."""
    body = json.loads((RECORDED / place.provider / f"{place.parser}.json").read_bytes())
    node = body
    for key in place.at[:-1]:
        node = node[key]
    assert place.at[-1] in node, f"the recorded answer of {place.provider} has no such date"
    node[place.at[-1]] = text
    return body


def without_row(place: Place, body: Any) -> Any:
    """`body` without the row that has the date."""
    rows = body
    for key in place.rows or ():
        rows = rows[key]
    if place.rows is not None:
        del rows[0]
    return body


@pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.provider}-{place.parser}-{place.at[-1]}")
def test_a_date_is_read_whole_or_not_at_all(place: Place) -> None:
    """Every form of date is its moment, or none: then the figure has no time, or its row or answer is left out."""
    good = "2026-11-22T09:00:00Z"
    assert read(place, with_date(place, good)) == ISO[good]
    none = {None, read(place, without_row(place, with_date(place, good))) if place.rows is not None else None}
    for text, seconds in (ISO | OF_FEEDS).items():
        found = read(place, with_date(place, text))
        assert found in none or found == pytest.approx(seconds, abs=1e-5), text
    for text in NONE:
        if text in WITHOUT_ZONE and place.provider == "blockchair":
            continue
        # A number is unix seconds where a provider's numbers may be texts, and msgspec reads fractions of any length.
        if not text.isdigit() and len(text) < 200:
            assert read(place, with_date(place, text)) in none, text
