"""CoinMarketCap: https://coinmarketcap.com/api/documentation/v1/#operation/getV1CryptocurrencyListingsLatest
and #operation/getFearandGreedLatest

Without a key the same paths are below /public-api:
https://coinmarketcap.com/api/documentation/pro-api-reference/keyless-public-api.md
`status.error_code` is a number or a string, and decides regardless of the HTTP status. In the list a figure that does
not fit is null; a row with another name, price or time is left out. Its fear and greed index is not that of
alternative.me.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct, field

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import FearAndGreed, ListedCoin
from workers.answers.dates import unix_seconds
from workers.asking.limits import LimitError, Limits, refusal
from workers.asking.ports import Aggregator, FearAndGreedSource
from workers.asking.provider import Amount, Ask, Change, Moment, Parsers, ProbePlan, Request, decode, known
from workers.asking.rows import Label, decode_outside, decode_rows

NAME = "coinmarketcap"
_PATH = "/v3/fear-and-greed/latest"
_KEYLESS = Budget(5, 60.0)  # the limits (per minute, day, month and address) are unpublished; we need 4 per hour
_WITH_KEY = Budget(30, 60.0)  # the free plan's limit
_LIMIT_PAUSES = {"1008": 60.0, "1009": 3600.0, "1010": 3600.0, "1011": 60.0, "429": 60.0}
"""Codes of the limits per minute, day, month and address, and the seconds to wait. When a day or month of a plan ends
depends on the plan, so an hour.
https://coinmarketcap.com/api/resources/how-to-handle-coinmarketcap-api-errors-and-rate-limit--responses
"""
_PAGE = 250  # most coins per call: the settings allow no more


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


class _Quote(Struct):
    price: Amount | None = None
    volume_24h: Amount | None = None
    market_cap: Amount | None = None
    percent_change_24h: Change | None = None
    last_updated: Moment | None = None


class _Dollars(Struct):
    usd: _Quote = field(name="USD")


class _Coin(Struct):
    name: Label
    symbol: Label
    quote: _Dollars
    circulating_supply: Amount | None = None


class _Coins(Struct):
    data: list[Raw]


def parse_listings(body: bytes) -> tuple[ListedCoin, ...]:
    """The rows of /v1/cryptocurrency/listings/latest. Raises ProviderError."""
    _check(body)
    data = decode_outside(NAME, body, _Coins).data
    rows = decode_rows(NAME, data, _Coin, "$.data", vital=("quote.USD.price", "quote.USD.last_updated"))
    if not rows:
        raise ProviderError(NAME, "no coin in the answer")
    return tuple(
        ListedCoin(
            coin_id=None,
            symbol=row.symbol.upper(),
            name=row.name,
            price=known(row.quote.usd.price),
            volume=known(row.quote.usd.volume_24h),
            market_cap=known(row.quote.usd.market_cap),
            supply=known(row.circulating_supply),
            change=row.quote.usd.percent_change_24h,
            as_of=unix_seconds(row.quote.usd.last_updated),
        )
        for row in rows
    )


def parse_fear_and_greed(body: bytes) -> FearAndGreed:
    """The value of /v3/fear-and-greed/latest. Raises ProviderError."""
    _check(body)
    index = decode(NAME, body, _Answer, lax=True).data
    if index is None:
        raise ProviderError(NAME, "no value in the answer", field="$.data")
    return FearAndGreed(value=index.value, as_of=unix_seconds(index.update_time))


def _check(body: bytes) -> None:
    """Raise the error in `status`, if any, before `data` is read: with an error the form of `data` is undefined."""
    status = decode_outside(NAME, body, _Failure).status
    if str(status.error_code).strip() not in ("0", ""):
        code, message = str(status.error_code).strip(), status.error_message or "no message"
        said, field = f"error {code[:10]} in the answer: {message[:80]}", "$.status.error_code"
        if code in _LIMIT_PAUSES:
            raise LimitError(NAME, said, field=field, retry_after=_LIMIT_PAUSES[code])
        raise refusal(NAME, said, message, field=field)


class CoinMarketCap(Aggregator, FearAndGreedSource):
    """A fallback for the list of coins, only with a key, and for the fear and greed index, also without one."""

    name = NAME
    base_url = "https://pro-api.coinmarketcap.com"
    key_settings = ("coinmarketcap_key",)
    listing_needs_key = True
    limits = Limits(statuses=frozenset({418, 429}))  # its 402 and 403 mean a plan that is not paid or too small
    # Without a key the limits are unpublished. With one, each call costs a credit, of 15,000 per month: this is a
    # fifth.
    probe_plan = ProbePlan(900.0, 3)
    refresh = (
        300.0  # s: at most two credits per call; the free plan's 15,000 per month are nearly enough around the clock
    )
    parsers: ClassVar[Parsers] = {"fear_and_greed": parse_fear_and_greed, "listings": parse_listings}

    def __init__(self, key: str | None = None) -> None:
        """`key` is an API key of any plan."""
        self.budget = _WITH_KEY if key else _KEYLESS
        self._headers = {"X-CMC_PRO_API_KEY": key} if key else {}
        self._path = _PATH if key else f"/public-api{_PATH}"

    def headers(self) -> Mapping[str, str]:
        """The key, where there is one: without a key the header must be absent."""
        return self._headers

    async def probe(self, ask: Ask) -> None:
        """See Provider. The index: one credit."""
        await self.fear_and_greed(ask)

    async def fear_and_greed(self, ask: Ask) -> FearAndGreed:
        """The index of now. One call. Raises ProviderError."""
        return await ask(Request(self._path, parse_fear_and_greed))

    async def listing(self, ask: Ask, wanted: int | tuple[str, ...]) -> tuple[ListedCoin, ...]:
        """See Aggregator. One call. Its ids are not CoinGecko's, so coins are searched among the first 250."""
        limit = min(wanted, _PAGE) if isinstance(wanted, int) else _PAGE
        return await ask(
            Request("/v1/cryptocurrency/listings/latest", parse_listings, {"limit": str(limit), "convert": "USD"})
        )
