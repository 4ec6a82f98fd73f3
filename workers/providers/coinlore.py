"""CoinLore: https://www.coinlore.com/cryptocurrency-data-api

Most figures are strings, some are numbers, which differs between its paths. Unknown figures are `""` or zero. Figures
have no time. A figure that does not fit is null; a row with another name or price is left out.
"""

from __future__ import annotations

from math import inf
from typing import ClassVar, Literal

from msgspec import Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import ListedCoin
from workers.asking.ports import Aggregator
from workers.asking.provider import Amount, Ask, Change, Count, Parsers, Request, known
from workers.asking.rows import Label, decode_outside, decode_rows

NAME = "coinlore"
_PAGE = 100  # rows an answer has at most
_MOST_PAGES = 3  # enough for any number of coins that the settings allow


class _Row(Struct):
    symbol: Label
    name: Label
    rank: Count | Literal[""] | None = None
    price_usd: Amount | Literal[""] | None = None
    percent_change_24h: Change | Literal[""] | None = None
    market_cap_usd: Amount | Literal[""] | None = None
    volume24: Amount | Literal[""] | None = None
    csupply: Amount | Literal[""] | None = None


class _Page(Struct):
    data: list[Raw]


def parse_tickers(body: bytes) -> tuple[ListedCoin, ...]:
    """One page of /tickers/. Raises ProviderError."""
    data = decode_outside(NAME, body, _Page).data
    rows = decode_rows(NAME, data, _Row, "$.data", lax=True, vital=("price_usd",))
    if not rows:
        raise ProviderError(NAME, "no coin in the answer", field="$.data")
    return tuple(_coin(row) for row in sorted(rows, key=lambda row: row.rank or inf))


def _coin(row: _Row) -> ListedCoin:
    return ListedCoin(
        coin_id=None,  # its ids are numbers of its own; `nameid` often equals CoinGecko's id, but not always
        symbol=row.symbol.upper(),
        name=row.name,
        price=known(row.price_usd or None),
        volume=known(row.volume24 or None),
        market_cap=known(row.market_cap_usd or None),
        supply=known(row.csupply or None),
        change=None if row.percent_change_24h == "" else row.percent_change_24h,
        as_of=None,
    )


class CoinLore(Aggregator):
    """The last fallback for the list."""

    name = NAME
    base_url = "https://api.coinlore.net/api"
    budget = Budget(3, 3.0)  # undocumented: one per second on average, three at once, as one listing may take three
    refresh = 60.0
    parsers: ClassVar[Parsers] = {"tickers": parse_tickers}

    async def probe(self, ask: Ask) -> None:
        """See Provider. The first coin of its list."""
        await ask(Request("/tickers/", parse_tickers, {"start": "0", "limit": "1"}))

    async def listing(self, ask: Ask, wanted: int | tuple[str, ...]) -> tuple[ListedCoin, ...]:
        """See Aggregator. One call per hundred coins; ids are searched among the first three hundred."""
        pages = min(-(-wanted // _PAGE), _MOST_PAGES) if isinstance(wanted, int) else _MOST_PAGES
        coins: dict[tuple[str, str], ListedCoin] = {}
        for page in range(pages):
            params = {"start": str(page * _PAGE), "limit": str(_PAGE)}
            for coin in await ask(Request("/tickers/", parse_tickers, params)):
                # Ranks change between two calls, so the same coin may be on both pages.
                coins.setdefault((coin.symbol, coin.name), coin)
        return tuple(coins.values())
