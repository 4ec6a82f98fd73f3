"""Bounds: how old figures may get before they are null. Each service states its own in its `figures.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct


class Bound(Struct, frozen=True):
    """How old an answer of a pool may get while a figure is still made of it."""

    pool: str
    """Its name; the sources are tried in its order."""
    longest: float
    """Seconds since the moment of what the source said: its own time if it gives one, else that of asking it."""
    day: float | None = None
    """For figures of a day: seconds since that day began. Then `longest` counts from the time of asking."""
    part: str = ""
    """What of the figure comes from this pool, if another pool gives the rest; for documentation."""


Figures = Mapping[str, Sequence[Bound]]
"""Paths of figures in a payload, as docs/reference/services.md writes them, and their bounds, in the order in which the
pools are used. A figure is null when the last bound has passed.
"""


def span(seconds: float) -> str:
    """A duration in the largest unit that fits: `90 s`, `15 min`, `6 h`, `3 days`."""
    for size, unit in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size * (2 if unit == "days" else 1) and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"
