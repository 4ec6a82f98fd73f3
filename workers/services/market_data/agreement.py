"""agreement: which of the prices that sources have for one coin is published, and whether they contradict each other.

Pure; the reasons are in docs/adr/0039.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec import Struct

AGREE = 0.2
"""Share by which two prices of the same minute may differ. Prices of one coin at different exchanges rarely differ by
more than 2 %; beyond a fifth, one of them is wrong or another coin's.
"""
_TOGETHER = 10.0  # s, two cycles: prices that are further apart may differ because the market has moved
_SOON, _LATE = 60.0, 900.0  # s between two prices: up to a minute AGREE applies, from 15 min on half to double,
# and between them the bound grows evenly, because the market may have moved
_HALF, _DOUBLE = 0.5, 2.0  # an exchange's price outside this range of the list's is another coin's with the same symbol


class Claim(Struct, frozen=True, kw_only=True):
    """What one source says is the price of a coin."""

    source: str
    price: float
    """USD for one coin."""
    moment: float
    """Unix seconds at which that was so."""
    is_listed: bool = False
    """Whether it comes from a list, which knows the coin by its id, and averages many exchanges."""
    change: float | None = None
    """Percent over 24 h, from the source itself."""
    rate: Claim | None = None
    """The price of a USDT that it was converted with."""

    @property
    def said(self) -> dict[str, float]:
        """The sources that the price is made of, and the moments of what they said."""
        rate = {} if self.rate is None else self.rate.said
        return {**rate, self.source: min(self.moment, rate.get(self.source, self.moment))}


class Verdict(Struct, frozen=True, kw_only=True):
    """What is published for a coin."""

    winner: Claim | None
    """None if there is no price, or none that can be believed."""
    disputed: tuple[Claim, ...] = ()
    """Every fresh claim, in the order of preference, if they contradict each other; else empty."""
    compared: tuple[Claim, ...] = ()
    """The claims of exchanges that are of the same ten seconds; empty if there are fewer than two."""

    @property
    def spread(self) -> float | None:
        """Difference of the highest and the lowest price of those compared, in basis points of their median.

        A basis point is a hundredth of a percent. Rounded to a hundredth of a basis point. None if none are compared.
        """
        prices = [claim.price for claim in self.compared]
        return round((max(prices) - min(prices)) / median(prices) * 10_000, 2) if prices else None


def decide(exchanges: Sequence[Claim], lists: Sequence[Claim], before: Claim | None = None) -> Verdict:
    """The price of a coin, of the fresh claims of exchanges and of lists, each in order of preference.

    `before` is a listed price that is too old to be published. It only sets claims of exchanges aside.
    """
    anchor = lists[0] if lists else before
    strangers = [claim for claim in exchanges if anchor is not None and not _is_near(claim, anchor)]
    voters = [*(claim for claim in exchanges if claim not in strangers), *lists]
    compared = _compared([claim for claim in exchanges if claim not in strangers])
    if not strangers and all(_agree(one, other) for one in voters for other in voters):
        return Verdict(winner=voters[0] if voters else None, compared=compared)
    support = {claim.source: sum(_agree(claim, other) for other in voters) for claim in voters}
    majority = [claim for claim in voters if support[claim.source] * 2 > len(voters)]
    winner = next(iter((*majority, *lists)), None)
    if winner is not None and support[winner.source] < _largest_group(strangers):
        winner = None
    return Verdict(winner=winner, disputed=(*exchanges, *lists), compared=compared)


def _agree(one: Claim, other: Claim) -> bool:
    """Whether the newer price may have followed from the older one in the time between them."""
    # Of the same age, the list's is the measure, because it is an average.
    older, newer = sorted((one, other), key=lambda claim: (claim.moment, not claim.is_listed, claim.source))
    moved = min(max((newer.moment - older.moment - _SOON) / (_LATE - _SOON), 0.0), 1.0)
    low = (1 - AGREE) * (1 - moved) + _HALF * moved
    high = (1 + AGREE) * (1 - moved) + _DOUBLE * moved
    return older.price * low <= newer.price <= older.price * high


def _compared(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    newest = max((claim.moment for claim in claims), default=0.0)
    found = tuple(claim for claim in claims if newest - claim.moment <= _TOGETHER)
    return found if len(found) > 1 else ()


def _is_near(claim: Claim, anchor: Claim) -> bool:
    return anchor.price * _HALF <= claim.price <= anchor.price * _DOUBLE


def _largest_group(claims: Sequence[Claim]) -> int:
    """How many of the claims agree with the one that most agree with."""
    return max((sum(_agree(claim, other) for other in claims) for claim in claims), default=0)
