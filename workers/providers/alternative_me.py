"""alternative.me, the Crypto Fear & Greed Index: https://alternative.me/crypto/fear-and-greed-index/#api

Keyless. A new value at 00:00 UTC every day; occasionally a day has none. Numbers are strings. An error may come with
HTTP 200 in `metadata.error`. A day that does not fit is left out. `format=csv` returns neither CSV nor JSON, so it is
not used.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import FearAndGreed
from workers.asking.limits import refusal
from workers.asking.ports import FearAndGreedSource
from workers.asking.provider import Ask, Parsers, Request, Seconds
from workers.asking.rows import decode_outside, decode_rows

NAME = "alternative_me"


class _Day(Struct):
    value: Annotated[int, Meta(ge=0, le=100)]
    timestamp: Seconds
    """Of the day's midnight, if the request has no `date_format`."""


class _Metadata(Struct, frozen=True):
    error: str | None = None


class _Answer(Struct):
    data: list[Raw]
    metadata: _Metadata = _Metadata()


def parse_fng(body: bytes) -> FearAndGreed:
    """The newest value of /fng/. Raises ProviderError."""
    answer = decode_outside(NAME, body, _Answer)
    if answer.metadata.error:
        said = answer.metadata.error
        raise refusal(NAME, f"error in the answer: {said[:80]}", said, field="$.metadata.error")
    if not answer.data:
        raise ProviderError(NAME, "no value in the answer", field="$.data")
    days = decode_rows(NAME, answer.data, _Day, "$.data", lax=True)
    newest = max(days, key=lambda day: day.timestamp)
    return FearAndGreed(value=newest.value, as_of=newest.timestamp)


class AlternativeMe(FearAndGreedSource):
    """The best-known fear and greed index."""

    name = NAME
    base_url = "https://api.alternative.me"
    budget = Budget(10, 60.0)  # documented: 60 per minute; we need one in 15 minutes, more after failures
    parsers: ClassVar[Parsers] = {"fng": parse_fng}

    async def probe(self, ask: Ask) -> None:
        """See Provider. The index of today."""
        await self.fear_and_greed(ask)

    async def fear_and_greed(self, ask: Ask) -> FearAndGreed:
        """The index of today. One call. Raises ProviderError."""
        return await ask(Request("/fng/", parse_fng, {"limit": "1"}))
