"""Kraken, public market data: https://docs.kraken.com/api/docs/rest-api/get-ticker-information

Errors come with HTTP 200, in a list. Each begins with its severity: `E` for an error, `W` for a warning, which comes
beside a result (https://docs.kraken.com/api/docs/guides/spot-rest-intro). Those of a limit are `EAPI:Rate limit
exceeded`, `EGeneral:Too many requests`, `EGeneral:Temporary lockout` and `EService:Throttled: <unix seconds>`
(https://docs.kraken.com/exchange/guides/general/errors). Numbers are strings; a pair without trades has a last price of
zero. `o` is today's open, so it gives no 24 h change. A dollar pair that does not fit is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Ticker
from workers.asking.limits import refusal
from workers.asking.ports import Exchange
from workers.asking.provider import Amount, Ask, Parsers, Request, decode
from workers.asking.rows import Label, decode_outside, decode_row_map

NAME = "kraken"
_QUOTE = "USD"
_WARNING = "W"
_ALIASES = {"XBT": "BTC", "XDG": "DOGE"}
"""Kraken's own spelling → the usual one."""


class _Pair(Struct):
    c: tuple[Amount, Raw]
    """Last trade: price, volume. The volume is not read."""


class _Answer(Struct):
    error: list[str]
    result: dict[str, Raw] | None = None


def parse_ticker(body: bytes) -> tuple[Ticker, ...]:
    """The USD pairs of /Ticker with `assetVersion=1`. Raises ProviderError."""
    answer = decode_outside(NAME, body, _Answer)
    _check(answer.error)
    found = {key: raw for key, raw in (answer.result or {}).items() if key.partition("/")[2] == _QUOTE}
    tickers = []
    for key, pair in decode_row_map(NAME, found, _Pair, "$.result", lax=True).items():
        base, price = key.partition("/")[0], pair.c[0]
        if base and price:
            tickers.append(Ticker(base=_ALIASES.get(base, base), quote=_QUOTE, price=price, change=None, as_of=None))
    if not tickers:
        raise ProviderError(NAME, f"no {_QUOTE} pair in the answer", field="$.result")
    return tuple(tickers)


class _Status(Struct):
    status: Label


class _StatusAnswer(Struct):
    error: list[str]
    result: _Status | None = None


def parse_status(body: bytes) -> str:
    """/SystemStatus: `online`, or how trading is limited. Raises ProviderError, also while Kraken is offline."""
    answer = decode(NAME, body, _StatusAnswer)
    _check(answer.error)
    if answer.result is None:
        raise ProviderError(NAME, "no status in the answer", field="$.result")
    if answer.result.status == "maintenance":
        raise ProviderError(NAME, "offline for maintenance", field="$.result.status")
    return answer.result.status


def _check(messages: Sequence[str]) -> None:
    """Raise the first of an answer's messages that is not a warning. Raises ProviderError, LimitError for a limit."""
    errors = [message for message in messages if not message.startswith(_WARNING)]
    if errors:
        raise refusal(NAME, f"error in the answer: {errors[0][:80]}", "; ".join(errors))


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
