"""CoinPaprika v1: https://docs.coinpaprika.com/api-reference/tickers

One call lists all coins, unsorted, some 3 MB. Zero stands for an unknown figure. A figure that does not fit is null; a
row with another name, price or time is left out.
"""

from __future__ import annotations

from math import inf
from typing import ClassVar

from msgspec import Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import ListedCoin
from workers.answers.dates import unix_seconds
from workers.asking.limits import Limits
from workers.asking.ports import Aggregator
from workers.asking.provider import Amount, Ask, Change, Count, Moment, Parsers, Request, decode, known
from workers.asking.rows import Label, decode_list

NAME = "coinpaprika"


class _Usd(Struct):
    price: Amount | None = None
    volume_24h: Amount | None = None
    market_cap: Amount | None = None
    percent_change_24h: Change | None = None


class _Quotes(Struct):
    USD: _Usd


class _Row(Struct):
    name: Label
    symbol: Label
    quotes: _Quotes
    rank: Count | None = None
    circulating_supply: Amount | None = None
    last_updated: Moment | None = None


def parse_tickers(body: bytes) -> tuple[ListedCoin, ...]:
    """The rows of /tickers, best rank first. Raises ProviderError."""
    rows = decode_list(NAME, body, _Row, vital=("quotes.USD.price", "last_updated"))
    if not rows:
        raise ProviderError(NAME, "no coin in the answer")
    rows.sort(key=lambda row: row.rank or inf)  # rank 0 means no rank
    return tuple(_coin(row, row.quotes.USD) for row in rows)


def _coin(row: _Row, usd: _Usd) -> ListedCoin:
    price = known(usd.price)
    return ListedCoin(
        coin_id=None,  # its ids, like btc-bitcoin, are its own
        symbol=row.symbol.upper(),
        name=row.name,
        price=price,
        volume=known(usd.volume_24h),
        market_cap=known(usd.market_cap),
        supply=known(row.circulating_supply),
        change=usd.percent_change_24h if price is not None else None,
        as_of=unix_seconds(row.last_updated),
    )


class _Global(Struct):
    market_cap_usd: Amount


def parse_global(body: bytes) -> float:
    """Market value of all coins in USD, from /global. Raises ProviderError."""
    return decode(NAME, body, _Global).market_cap_usd


class CoinPaprika(Aggregator):
    """The first fallback for the list."""

    name = NAME
    base_url = "https://api.coinpaprika.com/v1"
    budget = Budget(3, 405.0)  # 20,000 calls per month and address: one in 134 s around the clock
    refresh = 300.0  # its documentation asks not to fetch the whole list more often
    limits = Limits(statuses=frozenset({429}))  # its 402 and 403 mean a plan that is too small, or a wrong key
    parsers: ClassVar[Parsers] = {"tickers": parse_tickers, "global": parse_global}

    async def probe(self, ask: Ask) -> None:
        """See Provider. A few figures of the whole market; the list has megabytes."""
        await ask(Request("/global", parse_global))

    async def listing(self, ask: Ask, wanted: int | tuple[str, ...]) -> tuple[ListedCoin, ...]:
        """See Aggregator. One call, always for all coins: it does not have our ids."""
        return await ask(Request("/tickers", parse_tickers, {"quotes": "USD"}))
