"""alternative.me, the Crypto Fear & Greed Index: https://alternative.me/crypto/fear-and-greed-index/#api

Keyless; a new value at 00:00 UTC every day, now and then a day without one. Numbers are strings. An error may come with
HTTP 200 in `metadata.error`. `format=csv` gives neither CSV nor JSON: never ask for it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import FearAndGreed
from workers.asking.ports import FearAndGreedSource
from workers.asking.provider import Ask, Count, Parsers, Request, decode

NAME = "alternative_me"


class _Day(Struct):
    value: Annotated[int, Meta(ge=0, le=100)]
    timestamp: Count
    """Unix seconds of the day's midnight, as long as no `date_format` is asked for."""


class _Metadata(Struct, frozen=True):
    error: str | None = None


class _Answer(Struct):
    data: list[_Day]
    metadata: _Metadata = _Metadata()


def parse_fng(body: bytes) -> FearAndGreed:
    """The newest value of /fng/. Raises ProviderError."""
    answer = decode(NAME, body, _Answer, lax=True)
    if answer.metadata.error:
        raise ProviderError(NAME, f"error in the answer: {answer.metadata.error[:80]}", field="$.metadata.error")
    if not answer.data:
        raise ProviderError(NAME, "no value in the answer", field="$.data")
    newest = max(answer.data, key=lambda day: day.timestamp)
    return FearAndGreed(value=newest.value, as_of=newest.timestamp)


class AlternativeMe(FearAndGreedSource):
    """The index that everybody quotes."""

    name = NAME
    base_url = "https://api.alternative.me"
    budget = Budget(10, 60.0)  # 60 a minute are said to be allowed; we need one in 15 minutes, more after failures
    parsers: ClassVar[Parsers] = {"fng": parse_fng}

    async def probe(self, ask: Ask) -> None:
        """See Provider. The index of today."""
        await self.fear_and_greed(ask)

    async def fear_and_greed(self, ask: Ask) -> FearAndGreed:
        """The index of today. One call. Raises ProviderError."""
        return await ask(Request("/fng/", parse_fng, {"limit": "1"}))
