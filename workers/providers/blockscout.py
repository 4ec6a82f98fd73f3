"""Blockscout of Ethereum: https://docs.blockscout.com/devs/apis/rest

Three calls per second without a key. Counts are strings. `total_blocks` is an estimate of how many blocks there are,
not
the height. `transactions_today` has the last whole day (UTC) in fact: the charts' newest point, or 0 if there is none
(stats_controller.ex).
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from shared.budget import Budget
from workers.answers import EthereumStats
from workers.asking.limits import Limits
from workers.asking.ports import EthereumDay
from workers.asking.provider import Amount, Ask, Count, Parsers, Request, decode, known

NAME = "blockscout"


class _GasPrices(Struct):
    average: Amount | None = None


class _Stats(Struct):
    transactions_today: Count
    gas_prices: _GasPrices | None
    network_utilization_percentage: Amount | None = None


def parse_stats(body: bytes) -> EthereumStats:
    """/stats. Raises ProviderError."""
    row = decode(NAME, body, _Stats, lax=True)
    return EthereumStats(
        gas_price_gwei=known(row.gas_prices.average) if row.gas_prices else None,
        transactions_count=row.transactions_today or None,
        utilization=row.network_utilization_percentage,
    )


class Blockscout(EthereumDay):
    """The primary for transactions per day on Ethereum."""

    name = NAME
    base_url = "https://eth.blockscout.com/api/v2"
    budget = Budget(3, 1.0)  # its limit per address without a key
    limits = Limits(
        milliseconds=True
    )  # x-ratelimit-reset: https://docs.blockscout.com/devs/pro-api-responses-and-routes
    parsers: ClassVar[Parsers] = {"stats": parse_stats}

    async def probe(self, ask: Ask) -> None:
        """See Provider. The only request of this provider."""
        await self.ethereum_day(ask)

    async def ethereum_day(self, ask: Ask) -> EthereumStats:
        """See EthereumDay. A few minutes old; also the gas price and the used share of block space."""
        return await ask(Request("/stats", parse_stats))
