"""Coinbase spot, the public products of Advanced Trade: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/
rest-api/public/list-public-products

One keyless call gives many products, each with the flags that say whether it is traded now; products that don't exist
are left out of the answer. Coinbase Exchange's own API has either one product per call, or `/products/stats`, which is
undocumented and keeps halted products. Numbers are strings, empty where unknown. There is no time of the last trade.
"""

from __future__ import annotations

import re
from typing import ClassVar

from msgspec import Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Ticker
from workers.asking.ports import Exchange
from workers.asking.provider import Ask, Parsers, Request, decode

NAME = "coinbase"
_QUOTE = "USD"
_SPOT = "SPOT"
_SYMBOL = re.compile(r"[A-Z0-9]+")
"""What a symbol of Coinbase consists of; other symbols would change the address."""
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,40})?")


class _Product(Struct):
    product_id: str
    price: str
    price_percentage_change_24h: str
    volume_24h: str
    is_disabled: bool
    trading_disabled: bool
    cancel_only: bool
    post_only: bool
    auction_mode: bool
    product_type: str


class _Answer(Struct):
    products: list[_Product]


def parse_products(body: bytes) -> tuple[Ticker, ...]:
    """The USD products of /market/products that are traded now and were in these 24 h. Raises ProviderError."""
    products = decode(NAME, body, _Answer).products
    tickers = []
    for row in products:
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


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


class Coinbase(Exchange):
    """Another exchange to compare prices with, in dollars; also a rate of USDT."""

    name = NAME
    base_url = "https://api.coinbase.com/api/v3/brokerage"
    # 10 public calls per second and address: https://docs.cloud.coinbase.com/advanced-trade/docs/rest-api-rate-limits,
    # and for Exchange https://docs.cdp.coinbase.com/exchange/rest-api/rate-limits. A cycle of 5 s takes one; the rest
    # is for probes and other workers.
    budget = Budget(10, 5.0)
    parsers: ClassVar[Parsers] = {"products": parse_products}

    async def probe(self, ask: Ask) -> None:
        """See Provider. One product: about 2 kB."""
        await self.tickers(ask, ("BTC",))

    async def tickers(self, ask: Ask, symbols: tuple[str, ...]) -> tuple[Ticker, ...]:
        """See Exchange. One call; 250 symbols make an address of 6 kB, which servers commonly allow."""
        wanted = [symbol for symbol in dict.fromkeys((*symbols, "USDT")) if _SYMBOL.fullmatch(symbol)]
        query = "".join(f"&product_ids={symbol}-{_QUOTE}" for symbol in wanted)
        return await ask(Request(f"/market/products?product_type={_SPOT}{query}", parse_products))
