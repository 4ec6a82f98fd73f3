"""Blockscout of Ethereum: https://docs.blockscout.com/devs/apis/rest

Without a key three calls per second from the host of Ethereum's explorer. With one, also of the free plan, the PRO API
of all chains: five calls per second and 100,000 credits per day, of which a call takes 20
(https://docs.blockscout.com/rate-limits).

Counts are strings. `total_blocks` is an estimate of how many blocks there are, not the height. `transactions_today` has
the last whole day (UTC) in fact: the charts' newest point, or 0 if there is none (stats_controller.ex).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from msgspec import Struct

from shared.budget import Budget
from workers.answers import EthereumStats
from workers.asking.limits import Limits
from workers.asking.ports import EthereumDay
from workers.asking.provider import Amount, Ask, Count, Parsers, Request, known
from workers.asking.rows import decode_figures

NAME = "blockscout"
_KEYED = "https://api.blockscout.com/1/api/v2"
"""The PRO API of chain 1, Ethereum: https://docs.blockscout.com/devs/pro-api-routes"""


class _GasPrices(Struct):
    average: Amount | None = None


class _Stats(Struct):
    transactions_today: Count
    gas_prices: _GasPrices | None
    network_utilization_percentage: Amount | None = None


def parse_stats(body: bytes) -> EthereumStats:
    """/stats. Raises ProviderError."""
    row = decode_figures(NAME, body, _Stats, lax=True)
    return EthereumStats(
        gas_price_gwei=known(row.gas_prices.average) if row.gas_prices else None,
        transactions_count=row.transactions_today or None,
        utilization=row.network_utilization_percentage,
    )


class Blockscout(EthereumDay):
    """The primary for transactions per day on Ethereum."""

    name = NAME
    base_url = "https://eth.blockscout.com/api/v2"
    other_urls = (_KEYED,)
    budget = Budget(3, 1.0)  # its limit per address without a key
    key_settings = ("blockscout_key",)
    limits = Limits(reset_in_ms=True)  # https://docs.blockscout.com/devs/pro-api-responses-and-routes
    parsers: ClassVar[Parsers] = {"stats": parse_stats}

    def __init__(self, key: str | None = None) -> None:
        """`key` is of any plan of the PRO API."""
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        if key:
            self.base_url = _KEYED
            self.budget = Budget(200, 3600.0)  # 4,800 per day, of the free plan's 5,000

    def headers(self) -> Mapping[str, str]:
        """The key, if there is one."""
        return self._headers

    async def probe(self, ask: Ask) -> None:
        """See Provider. The only request of this provider."""
        await self.ethereum_day(ask)

    async def ethereum_day(self, ask: Ask) -> EthereumStats:
        """See EthereumDay. A few minutes old; also the gas price and the used share of block space."""
        return await ask(Request("/stats", parse_stats))
