"""DefiLlama's coin prices: https://api-docs.defillama.com/#tag/coins

Keyless. Ids are CoinGecko's with a prefix. Unknown coins are absent from the answer.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.asking.ports import PriceList
from workers.asking.provider import Amount, Ask, Parsers, Request, decode

NAME = "defillama_coins"
_PREFIX = "coingecko:"


class _Price(Struct):
    price: Amount


class _Answer(Struct):
    coins: dict[str, _Price]


def parse_current(body: bytes) -> dict[str, float]:
    """USD by CoinGecko id, from /prices/current. Raises ProviderError."""
    rows = decode(NAME, body, _Answer).coins
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
