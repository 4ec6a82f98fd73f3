"""labels: what a text classifier's classes say of the market. Pure."""

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
"""Models that call their classes LABEL_0, LABEL_1 and so on, and say on their page what these mean. Of others it is not
known: some begin with the negative class, some with the neutral one."""
_ROUNDING = 0.02  # by which the shares of all classes may miss 1: they come rounded; beyond it some are missing


def signs(labels: Iterable[str], model: str) -> dict[str, float]:
    """Of each class of `model`, 1 where it is bullish, -1 where it is bearish, 0 where it is neither.

    Raises ValueError, with words for people, where a class is not known or there is no bullish or no bearish one.
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

    `shares` is the probability of every class. Raises ValueError where it is not, and as `signs`.
    """
    known = signs(shares, model)
    if not abs(math.fsum(shares.values()) - 1) <= _ROUNDING:
        raise ValueError("shares of the labels that don't add up to 1")
    tone = math.fsum(known[label] * share for label, share in shares.items())
    return max(-1.0, min(1.0, tone))
