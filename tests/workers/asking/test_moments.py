"""The moment of what a source said."""

from __future__ import annotations

import pytest

from workers.asking.moments import Moments, believed

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
