"""Moments: the sources of a payload, and the moment of what each of them said, which becomes its `as_of`."""

from __future__ import annotations

from collections.abc import Callable

from shared.timestamps import iso

AHEAD = 60.0
"""Seconds that a source's clock may be ahead of ours. A later time is a mistake, such as milliseconds for seconds."""
_WRONG = 3600.0  # s: clocks are seconds apart, or minutes; beyond an hour it is not the clock that is wrong
_BITCOIN = 1_230_768_000.0  # unix seconds of 2009-01-01: an earlier time is a zero, or another mistake


def believed(own: float | None, received: float) -> float:
    """Unix seconds of what a source said: its `own` time if that is plausible, else the time of its receipt.

    A plausible time is not before 2009 and at most a minute ahead of ours; one that is ahead counts as now.
    """
    return min(own, received) if own is not None and _BITCOIN <= own <= received + AHEAD else received


def is_ahead(own: float | None, now: float) -> bool:
    """Whether a source's `own` time (unix seconds) lies so far ahead of `now` that its figures can't be believed.

    Nothing shows how old they are: a source that stopped would seem fresh until that time.
    """
    return own is not None and own > now + _WRONG


def is_mistaken(own: float | None, now: float) -> bool:
    """Whether a source's `own` time shows nothing of the age of its figures: far ahead of `now`, or before 2009.

    The latter are seconds read as milliseconds, say. Zero is no time at all, as of sources that know none.
    """
    return own is not None and (is_ahead(own, now) or (own != 0 and own < _BITCOIN))


class Moments:
    """The sources of one payload in the order in which they were noted, and the oldest moment of each."""

    def __init__(self, label: Callable[[str], str] = str) -> None:
        """`label` makes the name in payloads of a provider's name."""
        self._label = label
        self._moments: dict[str, float] = {}

    def note(self, source: str, moment: float) -> None:
        """Note that the payload has a figure of `source`, which is of `moment` (unix seconds)."""
        name = self._label(source)
        self._moments[name] = min(moment, self._moments.get(name, moment))

    def note_dated(self, source: str, own: float | None, received: float) -> None:
        """As `note`, of the source's `own` time if that is plausible, else that of the receipt."""
        self.note(source, believed(own, received))

    @property
    def sources(self) -> list[str]:
        """The `sources` of the payload."""
        return list(self._moments)

    @property
    def as_of(self) -> dict[str, str]:
        """The `as_of` of the payload."""
        return {source: iso(moment) for source, moment in self._moments.items()}
