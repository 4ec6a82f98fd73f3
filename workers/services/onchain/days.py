"""Figures of whole days, and how old the newest day may be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from msgspec import Struct

from shared.errors import ProviderError
from workers.asking.ports import AddressCounter
from workers.asking.provider import Ask
from workers.services.onchain.figures import POINT

T = TypeVar("T")

_DAY = 86_400.0  # s: the point of a day that has begun may already be there


class Dated(Struct, Generic[T], frozen=True):
    """A figure, and its source's own time."""

    figure: T
    time: float | None
    """Unix seconds; None if the source gives no time."""


def time_of(dated: Dated[Any]) -> float | None:
    """The source's own time, as `Part` wants it."""
    return dated.time


def check_day(provider: str, what: str, day: float, now: float) -> None:
    """Raise ProviderError if the newest `day` (unix seconds of its beginning) of `what` is old, or in the future."""
    age = now - day
    if not -_DAY <= age <= POINT:
        raise ProviderError(provider, f"{what}: newest point is {age / _DAY:.1f} days old", kind="stale")


def addresses_of(chain: str) -> Callable[[AddressCounter, Ask, float], Awaitable[Dated[int]]]:
    """The question of a Part for the active addresses of `chain`."""

    async def question(provider: AddressCounter, ask: Ask, now: float) -> Dated[int]:
        found = await provider.active_addresses(ask, chain)
        check_day(provider.name, found.series, found.day, now)
        return Dated(found.count, found.day)

    return question
