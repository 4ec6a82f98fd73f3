"""mood: what several sources say of the market's mood becomes one figure. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

Mood = Literal["bullish", "neutral", "bearish"]

DAY = 86_400.0
"""Seconds for which a headline or a post counts."""
BULLISH, BEARISH = 0.6, 0.4
"""Scores from which, and down to which, the market is not called neutral. alternative.me speaks of greed from 55 and of
fear up to 46; five points more either way keep the word from changing with every headline."""

_HALF_LIFE = 28_800.0  # s after which a text counts half: what is news in the morning is background in the evening
_DOUBT = 5.0  # neutral texts added as a prior, so that one headline cannot set the score


class Weight(Struct, frozen=True):
    """How much a source counts, and for how long."""

    share: float
    keep: float
    """Seconds after which a score no longer counts."""


WEIGHTS: Mapping[str, Weight] = {
    # Made of volatility, volume, surveys and searches; a new one every day, now and then hours late.
    "fear_and_greed": Weight(0.4, 26 * 3600.0),
    # Computed every cycle from headlines that are at most a day old.
    "headlines": Weight(0.25, 180.0),
    # People vote for coins they have: mostly up, so it counts less.
    "coingecko_votes": Weight(0.2, 2 * 3600.0),
    # One forum, and titles are short.
    "reddit": Weight(0.15, 3600.0),
}
"""The sources of the score by their names in `sentiment_by_source`; shares add up to 1."""


class Score(Struct, frozen=True):
    """What one source says."""

    value: float
    """From 0, bearish, to 1, bullish."""
    as_of: float
    """Unix seconds of the figure."""


def standing(scores: Mapping[str, Score], now: float) -> dict[str, float]:
    """The values of the sources in `WEIGHTS` that are young enough to count at `now` (unix seconds)."""
    return {
        name: scores[name].value
        for name, weight in WEIGHTS.items()
        if name in scores and now - scores[name].as_of <= weight.keep
    }


def weigh(scores: Mapping[str, Score], now: float) -> tuple[Mood, float] | None:
    """The mood at `now` (unix seconds), as a word and as a score from 0 to 1; None where no source counts.

    The score is the mean of the sources' values, weighted by their shares; a source that is absent or too old is left
    out, as if the others' shares had been scaled up to 1. It has four digits, and the word is said of the score as it
    is published: bullish from 0.6, bearish up to 0.4.
    """
    values = standing(scores, now)
    if not values:
        return None
    total = math.fsum(WEIGHTS[name].share for name in values)
    mean = math.fsum(WEIGHTS[name].share * value for name, value in values.items()) / total
    score = round(min(max(mean, min(values.values())), max(values.values())), 4)
    return ("bullish" if score >= BULLISH else "bearish" if score <= BEARISH else "neutral"), score


def mean_tone(tones: Iterable[tuple[float, float]], now: float) -> float | None:
    """A score from 0 to 1 out of texts: (tone from -1 to 1, unix seconds of it). None without one of the last 24 h.

    A text counts half as much for every eight hours of its age, and five neutral texts are added, so that few texts
    stay near 0.5.
    """
    recent = [(value, 0.5 ** (max(0.0, now - moment) / _HALF_LIFE)) for value, moment in tones if now - moment <= DAY]
    if not recent:
        return None
    weight = math.fsum(share for _, share in recent)
    mean = math.fsum(value * share for value, share in recent) / (weight + _DOUBT)
    return round((mean + 1) / 2, 4)
