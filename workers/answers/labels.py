"""labels: maps the classes of a text classifier to bullish and bearish. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

_SIGNS: dict[str, float] = {
    **dict.fromkeys(("positive", "pos", "bullish"), 1.0),
    **dict.fromkeys(("neutral", "neu"), 0.0),
    **dict.fromkeys(("negative", "neg", "bearish"), -1.0),
}
_NUMBERED: Mapping[str, tuple[float, ...]] = {
    "cardiffnlp/twitter-roberta-base-sentiment": (-1.0, 0.0, 1.0),
    "kk08/CryptoBERT": (-1.0, 1.0),
}
"""Models that name their classes LABEL_0, LABEL_1 and so on, and document the meaning on their page. For other models
the meaning is unknown: some begin with the negative class, some with the neutral one.
"""
_ROUNDING = 0.02  # how far the sum of all shares may be from 1: they come rounded; beyond that, classes are missing


def signs(labels: Iterable[str], model: str) -> dict[str, float]:
    """Per class of `model`: 1 if it is bullish, -1 if it is bearish, 0 if it is neither.

    Raises ValueError, with a readable message, if a class is unknown or no class is bullish or none is bearish.
    """
    numbered = {f"label_{number}": sign for number, sign in enumerate(_NUMBERED.get(model, ()))}
    found: dict[str, float] = {}
    for label in labels:
        sign = (_SIGNS | numbered).get(label.casefold())
        if sign is None:
            raise ValueError(f"unknown label {label[:40]!r}: known are positive, neutral, negative, bullish, bearish")
        found[label] = sign
    if not {1.0, -1.0} <= set(found.values()):
        raise ValueError("a label for good or for bad news is missing")
    return found


def tone_of(shares: Mapping[str, float], model: str) -> float:
    """From -1, surely bearish, to 1, surely bullish: the probability of good news less that of bad news.

    `shares` has the probability of every class. Raises ValueError if their sum is not 1, and for the reasons of
    `signs`.
    """
    known = signs(shares, model)
    if not abs(math.fsum(shares.values()) - 1) <= _ROUNDING:
        raise ValueError("shares of the labels that don't add up to 1")
    tone = math.fsum(known[label] * share for label, share in shares.items())
    return max(-1.0, min(1.0, tone))
