"""CoinMarketCap: https://coinmarketcap.com/api/documentation/v1/#operation/getFearandGreedLatest

Without a key the same paths below /public-api: https://coinmarketcap.com/api/documentation/pro-api-reference/keyless-public-api.md
`status.error_code` is a number or a string, and counts whatever the HTTP status is. Its fear and greed index is its
own, not that of alternative.me.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import FearAndGreed
from workers.provider import Ask, Moment, Parsers, Request, decode

NAME = "coinmarketcap"
_PATH = "/v3/fear-and-greed/latest"
_KEYLESS = Budget(5, 60.0)  # the limits (by minute, day, month and address) are not published; we need 4 an hour
_WITH_KEY = Budget(30, 60.0)  # the free plan's


class _Status(Struct):
    error_code: int | str
    error_message: str | None = None


class _Index(Struct):
    value: Annotated[float, Meta(ge=0, le=100)]
    update_time: Moment | None = None


class _Answer(Struct):
    status: _Status
    data: _Index | None = None


class _Failure(Struct):
    status: _Status


def parse_fear_and_greed(body: bytes) -> FearAndGreed:
    """The value of /v3/fear-and-greed/latest. Raises ProviderError."""
    status = decode(NAME, body, _Failure).status  # first: what `data` is beside an error is anybody's guess
    if str(status.error_code).strip() not in ("0", ""):
        said = f"error {str(status.error_code)[:10]} in the answer: {(status.error_message or 'no message')[:80]}"
        raise ProviderError(NAME, said, field="$.status.error_code")
    index = decode(NAME, body, _Answer, lax=True).data
    if index is None:
        raise ProviderError(NAME, "no value in the answer", field="$.data")
    return FearAndGreed(value=index.value, as_of=index.update_time.timestamp() if index.update_time else None)


class CoinMarketCap:
    """The fallback: another index of the same kind."""

    name = NAME
    base_url = "https://pro-api.coinmarketcap.com"
    parsers: ClassVar[Parsers] = {"fear_and_greed": parse_fear_and_greed}

    def __init__(self, key: str | None = None) -> None:
        """`key` is an API key of any plan."""
        self.budget = _WITH_KEY if key else _KEYLESS
        self._headers = {"X-CMC_PRO_API_KEY": key} if key else {}
        self._path = _PATH if key else f"/public-api{_PATH}"

    def headers(self) -> Mapping[str, str]:
        """The key, where there is one: without a key the header must be absent."""
        return self._headers

    async def fear_and_greed(self, ask: Ask) -> FearAndGreed:
        """The index of now. One call. Raises ProviderError."""
        return await ask(Request(self._path, parse_fear_and_greed))
