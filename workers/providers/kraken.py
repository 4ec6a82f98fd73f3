"""Kraken, public market data: https://docs.kraken.com/api/docs/rest-api/get-ticker-information

Errors come with HTTP 200; those of a limit are `EAPI:Rate limit exceeded`, `EGeneral:Too many requests`,
`EGeneral:Temporary lockout` and `EService:Throttled: <unix seconds>`
(https://docs.kraken.com/exchange/guides/general/errors). Numbers are strings; a pair without trades has a last price of
zero. `o` is today's open, so it gives no 24 h change.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from msgspec import Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Ticker
from workers.asking.limits import refusal
from workers.asking.ports import Exchange
from workers.asking.provider import Amount, Ask, Parsers, Request, decode, decode_map

NAME = "kraken"
_QUOTE = "USD"
_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
"""Kraken's own spelling → the usual one."""


class _Pair(Struct):
    c: tuple[Amount, Amount]
    """Last trade: price, volume."""


class _Answer(Struct):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


def parse_ticker(body: bytes) -> tuple[Ticker, ...]:
    """The USD pairs of /Ticker with `assetVersion=1`. Raises ProviderError."""
    answer = decode(NAME, body, _Answer)
    if answer.error:
        raise refusal(NAME, f"error in the answer: {answer.error[0][:80]}", "; ".join(answer.error))
    pairs = decode_map(NAME, answer.result, _Pair, "$.result")
    tickers = []
    for key, pair in pairs.items():
        base, _, quote = key.partition("/")
        price = pair.c[0]
        if quote == _QUOTE and price:
            tickers.append(Ticker(base=_ALIASES.get(base, base), quote=quote, price=price, change=None, as_of=None))
    if not tickers:
        raise ProviderError(NAME, f"no {_QUOTE} pair in the answer", field="$.result")
    return tuple(tickers)


class _Status(Struct):
    status: str


class _StatusAnswer(Struct):
    error: list[str]
    result: _Status | None = None


def parse_status(body: bytes) -> str:
    """/SystemStatus: `online`, or how trading is limited. Raises ProviderError, also while Kraken is offline."""
    answer = decode(NAME, body, _StatusAnswer)
    if answer.error:
        raise refusal(NAME, f"error in the answer: {answer.error[0][:80]}", "; ".join(answer.error))
    if answer.result is None:
        raise ProviderError(NAME, "no status in the answer", field="$.result")
    if answer.result.status == "maintenance":
        raise ProviderError(NAME, "offline for maintenance", field="$.result.status")
    return answer.result.status


class Kraken(Exchange):
    """The fallback for prices, in dollars, and the rate of USDT."""

    name = NAME
    base_url = "https://api.kraken.com/0/public"
    budget = Budget(
        2, 2.0
    )  # one per second is safe for one address; two units, so that a probe leaves one to collectors
    parsers: ClassVar[Parsers] = {"ticker": parse_ticker, "status": parse_status}

    async def probe(self, ask: Ask) -> None:
        """See Provider. The system status."""
        await ask(Request("/SystemStatus", parse_status))

    async def tickers(self, ask: Ask, symbols: tuple[str, ...]) -> tuple[Ticker, ...]:
        """See Exchange. One call for all pairs: a call that names pairs fails if one is unknown."""
        wanted = {*symbols, "USDT"}
        answer = await ask(Request("/Ticker", parse_ticker, {"assetVersion": "1"}))
        return tuple(ticker for ticker in answer if ticker.base in wanted)
