"""Coinbase spot, the public products of Advanced Trade: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/
rest-api/public/list-public-products

One keyless call gives many products, each with the flags that say whether it is traded now; products that don't exist
are left out of the answer. A row that does not fit costs itself. Coinbase Exchange's own API has either one product per
call, or `/products/stats`, which is undocumented and keeps halted products. Numbers are strings, empty where unknown.
There is no time of the last trade.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Ticker
from workers.asking.ports import Exchange
from workers.asking.provider import Ask, Parsers, Request, StatusError, Text
from workers.asking.rows import decode_outside, decode_rows

NAME = "coinbase"
_QUOTE = "USD"
_SPOT = "SPOT"
_REFUSED = frozenset({400, 404})
_SYMBOL = re.compile(r"[A-Z0-9]+")
"""What a symbol of Coinbase consists of; other symbols would change the address."""
Figure = Annotated[str, Meta(pattern=r"^(-?\d{1,18}(\.\d{1,40})?)?$")]
"""A number as text, or nothing."""


class _Product(Struct):
    product_id: Text
    price: Figure
    volume_24h: Figure
    is_disabled: bool
    trading_disabled: bool
    cancel_only: bool
    post_only: bool
    auction_mode: bool
    product_type: Text
    price_percentage_change_24h: Figure | None = None


class _Answer(Struct):
    products: list[Raw]


def parse_products(body: bytes) -> tuple[Ticker, ...]:
    """The USD products of /market/products that are traded now and were in these 24 h. Raises ProviderError."""
    products = decode_outside(NAME, body, _Answer).products
    tickers = []
    for row in decode_rows(NAME, products, _Product, "$.products"):
        base, _, quote = row.product_id.partition("-")
        price = _number(row.price)
        # Shares and futures have symbols of their own, which may equal a coin's.
        if base and quote == _QUOTE and row.product_type == _SPOT and price and price > 0 and _is_traded(row):
            change = _number(row.price_percentage_change_24h)
            tickers.append(Ticker(base=base, quote=quote, price=price, change=change, as_of=None))
    if not tickers:
        raise ProviderError(NAME, f"no {_QUOTE} product in the answer", field="$.products")
    return tuple(tickers)


def _is_traded(row: _Product) -> bool:
    """Whether its price is one of the last 24 h, and orders can meet now."""
    halted = row.is_disabled or row.trading_disabled or row.cancel_only or row.post_only or row.auction_mode
    return not halted and bool(_number(row.volume_24h))


def _number(text: str | None) -> float | None:
    return float(text) if text else None


class Coinbase(Exchange):
    """Another exchange to compare prices with, in dollars; also a rate of USDT."""

    name = NAME
    base_url = "https://api.coinbase.com/api/v3/brokerage"
    # 10 public calls per second and address: https://docs.cloud.coinbase.com/advanced-trade/docs/rest-api-rate-limits,
    # and for Exchange https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits. A cycle of 5 s takes one; the rest
    # is for probes and other workers.
    budget = Budget(10, 5.0)
    parsers: ClassVar[Parsers] = {"products": parse_products}

    def __init__(self) -> None:
        self._listed: frozenset[str] | None = None
        """Coins to ask for at most; None to ask for any, as long as no call that names products is refused."""

    async def probe(self, ask: Ask) -> None:
        """See Provider. One product: about 2 kB."""
        await ask(_request(["BTC"]))

    async def tickers(self, ask: Ask, symbols: tuple[str, ...]) -> tuple[Ticker, ...]:
        """See Exchange. One call; 250 symbols make an address of 6 kB, which servers commonly allow.

        If it is refused for the products that it names, all are asked for, and from then on only those that there are.
        """
        wanted = [symbol for symbol in dict.fromkeys((*symbols, "USDT")) if _SYMBOL.fullmatch(symbol)]
        try:
            return await ask(
                _request(wanted if self._listed is None else [coin for coin in wanted if coin in self._listed])
            )
        except StatusError as error:
            if error.status not in _REFUSED:
                raise
        found = await ask(_request([]))
        self._listed = frozenset(ticker.base for ticker in found)
        return tuple(ticker for ticker in found if ticker.base in wanted)


def _request(symbols: Sequence[str]) -> Request[tuple[Ticker, ...]]:
    """The dollar products of `symbols`, or all products if there are none."""
    query = "".join(f"&product_ids={symbol}-{_QUOTE}" for symbol in symbols)
    return Request(f"/market/products?product_type={_SPOT}{query}", parse_products)
