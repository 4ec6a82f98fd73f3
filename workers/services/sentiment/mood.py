"""mood: weighs the scores of several sources into one. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from workers.asking.moments import is_ahead
from workers.services.sentiment.figures import HEADLINES, INDEX, POSTS, VOTES

Mood = Literal["bullish", "neutral", "bearish"]

DAY = 86_400.0
"""Seconds for which a headline or a post counts."""
BULLISH, BEARISH = 0.6, 0.4
"""From the first score on the market is bullish; down to the second one it is bearish. alternative.me has greed from 55
and fear up to 46; five points more on either side keep the word from changing with every headline.
"""

_HALF_LIFE = 28_800.0  # s after which a text has half its weight: news loses its effect within a day
_DOUBT = 5.0  # neutral texts added as a prior, so that one headline cannot set the score


class Weight(Struct, frozen=True):
    """How much a source counts, and for how long."""

    share: float
    keep: float
    """Seconds after which a score no longer counts."""


WEIGHTS: Mapping[str, Weight] = {
    # Computed from volatility, volume, surveys and searches; a new value every day, sometimes hours late.
    "fear_and_greed": Weight(0.4, INDEX.longest),
    # Computed every cycle from headlines of the last day.
    "headlines": Weight(0.25, HEADLINES),
    # People vote for coins that they hold, so mostly up: it has less weight.
    "coingecko_votes": Weight(0.2, VOTES.longest),
    # One forum, and titles are short.
    "reddit": Weight(0.15, POSTS.longest),
}
"""The sources of the score by their names in `sentiment_by_source`; shares add up to 1."""


class Score(Struct, frozen=True):
    """The score of one source."""

    value: float
    """From 0, bearish, to 1, bullish."""
    as_of: float
    """Unix seconds of the figure."""


def standing(scores: Mapping[str, Score], now: float) -> dict[str, float]:
    """The values of the sources in `WEIGHTS` that are fresh enough at `now` (unix seconds)."""
    return {
        name: scores[name].value
        for name, weight in WEIGHTS.items()
        if name in scores and now - scores[name].as_of <= weight.keep and not is_ahead(scores[name].as_of, now)
    }


def weigh(scores: Mapping[str, Score], now: float) -> tuple[Mood, float] | None:
    """The mood at `now` (unix seconds), as a word and as a score from 0 to 1; None where no source counts.

    The score is the mean of the sources' values, weighted by their shares; a source that is absent or too old is left
    out, and the others' shares are scaled up to 1. The score is rounded to four digits. The word follows from the
    rounded score: bullish from 0.6, bearish up to 0.4.
    """
    values = standing(scores, now)
    if not values:
        return None
    total = math.fsum(WEIGHTS[name].share for name in values)
    mean = math.fsum(WEIGHTS[name].share * value for name, value in values.items()) / total
    score = round(min(max(mean, min(values.values())), max(values.values())), 4)
    return ("bullish" if score >= BULLISH else "bearish" if score <= BEARISH else "neutral"), score


def mean_tone(tones: Iterable[tuple[float, float]], now: float) -> float | None:
    """A score from 0 to 1 from texts: (tone from -1 to 1, unix seconds). None without a text of the last 24 h.

    Texts of the future are left out.

    The weight of a text halves every eight hours. Five neutral texts are added, so that the score of few texts stays
    near 0.5.
    """
    counted = ((value, moment) for value, moment in tones if now - moment <= DAY and not is_ahead(moment, now))
    recent = [(value, 0.5 ** (max(0.0, now - moment) / _HALF_LIFE)) for value, moment in counted]
    if not recent:
        return None
    weight = math.fsum(share for _, share in recent)
    mean = math.fsum(value * share for value, share in recent) / (weight + _DOUBT)
    return round((mean + 1) / 2, 4)
