"""DefiLlama's coin prices: https://api-docs.defillama.com/#tag/coins

Keyless. Ids are CoinGecko's with a prefix. Unknown coins are absent from the answer, but a price may be six hours old:
`timestamp` is its time in unix seconds. A price that does not fit is left out.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import DatedPrice
from workers.asking.ports import PriceList
from workers.asking.provider import Amount, Ask, Parsers, Request
from workers.asking.rows import decode_outside, decode_row_map

NAME = "defillama_coins"
_PREFIX = "coingecko:"


class _Price(Struct):
    price: Amount
    timestamp: Amount | None = None


class _Answer(Struct):
    coins: dict[str, Raw]


def parse_current(body: bytes) -> dict[str, float]:
    """USD by CoinGecko id, from /prices/current. Raises ProviderError."""
    return {coin_id: price.usd for coin_id, price in parse_dated(body).items()}


def parse_dated(body: bytes) -> dict[str, DatedPrice]:
    """Prices and their times by CoinGecko id, from /prices/current. Raises ProviderError."""
    rows = decode_row_map(NAME, decode_outside(NAME, body, _Answer).coins, _Price, "$.coins", vital=("timestamp",))
    prices = {
        key.removeprefix(_PREFIX): DatedPrice(usd=row.price, as_of=row.timestamp)
        for key, row in rows.items()
        if key.startswith(_PREFIX) and row.price
    }
    if not prices:
        raise ProviderError(NAME, "no price in the answer")
    return prices


class DefiLlamaCoins(PriceList):
    """Prices by CoinGecko's ids, independent of CoinGecko."""

    name = NAME
    base_url = "https://coins.llama.fi"
    budget = Budget(30, 60.0)  # no limit is published; a tenth of what users report
    parsers: ClassVar[Parsers] = {"current": parse_current, "dated": parse_dated}

    async def probe(self, ask: Ask) -> None:
        """See Provider. One price."""
        await ask(Request(_path(("bitcoin",)), parse_current))

    async def prices(self, ask: Ask, ids: tuple[str, ...]) -> dict[str, DatedPrice]:
        """See PriceList."""
        return await ask(Request(_path(ids), parse_dated))


def _path(ids: tuple[str, ...]) -> str:
    return "/prices/current/" + ",".join(_PREFIX + coin_id for coin_id in ids)
