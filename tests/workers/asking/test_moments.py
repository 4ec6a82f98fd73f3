"""The moment of what a source said."""

from __future__ import annotations

import pytest

from workers.asking.moments import Moments, believed, is_ahead, is_mistaken

NOON = 1_795_435_200.0


@pytest.mark.parametrize(
    ("own", "moment"),
    [
        (NOON - 60, NOON - 60),
        (NOON - 3 * 86_400, NOON - 3 * 86_400),
        (NOON, NOON),
        (NOON + 59, NOON),
        (NOON + 61, NOON),
        (NOON * 1000, NOON),
        (float("inf"), NOON),
        (float("nan"), NOON),
        (0.0, NOON),
        (-1.0, NOON),
        (None, NOON),
    ],
)
def test_a_sources_own_time_counts_where_it_is_plausible(own: float | None, moment: float) -> None:
    """Times ahead of ours, before 2009 and in milliseconds are not believed: then the time of receipt counts."""
    assert believed(own, NOON) == moment


@pytest.mark.parametrize(
    ("own", "ahead"),
    [
        *((own, False) for own in (None, 0.0, NOON - 86_400, NOON, NOON + 61, NOON + 3600)),
        *((own, True) for own in (NOON + 3601, NOON * 1000, NOON * 1e6, float("inf"))),
    ],
)
def test_what_is_of_the_future_is_known(own: float | None, ahead: bool) -> None:
    """More than an hour ahead is no difference of clocks: milliseconds, microseconds, another zone, a year off."""
    assert is_ahead(own, NOON) is ahead


@pytest.mark.parametrize(
    ("own", "mistaken"),
    [
        *((own, False) for own in (None, 0.0, NOON - 10 * 365 * 86_400, NOON, NOON + 3600)),
        *((own, True) for own in (NOON + 3601, NOON * 1000, NOON / 1000, NOON / 1e6, 5.0, -1.0, -NOON)),
    ],
)
def test_what_shows_nothing_of_an_age_is_known(own: float | None, mistaken: bool) -> None:
    """Seconds read as milliseconds are of 1970: figures that stopped would count as of now. Zero is no time."""
    assert is_mistaken(own, NOON) is mistaken


def test_the_oldest_of_a_sources_figures_counts() -> None:
    """Sources keep the order in which they were noted, and the oldest of their moments."""
    moments = Moments(lambda name: f"{name} (simulated)")
    for source, moment in (("b", NOON), ("a", NOON - 5), ("b", NOON - 2.5), ("b", NOON - 1)):
        moments.note(source, moment)
    assert moments.sources == ["b (simulated)", "a (simulated)"]
    assert moments.as_of == {
        "b (simulated)": "2026-11-23T11:59:57.500Z",
        "a (simulated)": "2026-11-23T11:59:55.000Z",
    }
