"""DefiLlama's coin prices: https://api-docs.defillama.com/#tag/coins

Keyless. Ids are CoinGecko's with a prefix. Unknown coins are absent from the answer. A price
that does not fit is left out.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.asking.ports import PriceList
from workers.asking.provider import Amount, Ask, Parsers, Request
from workers.asking.rows import decode_outside, decode_row_map

NAME = "defillama_coins"
_PREFIX = "coingecko:"


class _Price(Struct):
    price: Amount


class _Answer(Struct):
    coins: dict[str, Raw]


def parse_current(body: bytes) -> dict[str, float]:
    """USD by CoinGecko id, from /prices/current. Raises ProviderError."""
    rows = decode_row_map(NAME, decode_outside(NAME, body, _Answer).coins, _Price, "$.coins")
    prices = {
        key.removeprefix(_PREFIX): row.price for key, row in rows.items() if key.startswith(_PREFIX) and row.price
    }
    if not prices:
        raise ProviderError(NAME, "no price in the answer")
    return prices


class DefiLlamaCoins(PriceList):
    """Prices by CoinGecko's ids, independent of CoinGecko."""

    name = NAME
    base_url = "https://coins.llama.fi"
    budget = Budget(30, 60.0)  # no limit is published; a tenth of what users report
    parsers: ClassVar[Parsers] = {"current": parse_current}

    async def probe(self, ask: Ask) -> None:
        """See Provider. One price."""
        await self.prices(ask, ("bitcoin",))

    async def prices(self, ask: Ask, ids: tuple[str, ...]) -> dict[str, float]:
        """See PriceList."""
        return await ask(Request("/prices/current/" + ",".join(_PREFIX + coin_id for coin_id in ids), parse_current))
