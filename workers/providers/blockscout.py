"""Blockscout of Ethereum: https://docs.blockscout.com/devs/apis/rest

Without a key three calls per second from the host of Ethereum's explorer. With one, also of the free plan, the PRO API
of all chains: five calls per second and 100,000 credits per day, of which a call takes 20
(https://docs.blockscout.com/rate-limits).

Counts in /stats are strings. `total_blocks` is an estimate of how many blocks there are, not the height.
`transactions_today` has the last whole day (UTC) in fact: the chart's newest point, or 0 if there is none
(stats_controller.ex). It does not say which day, so the chart itself is read: a chart that has stopped must not pass as
today's. Its count was named `tx_count`, then `transaction_count`, then `transactions_count`, in different versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import ClassVar

from msgspec import Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import EthereumStats
from workers.asking.limits import Limits
from workers.asking.ports import EthereumDay
from workers.asking.provider import Amount, Ask, Count, Parsers, Request, known
from workers.asking.rows import decode_figures, decode_outside, decode_rows

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


class _Point(Struct):
    date: date
    transactions_count: Count | None = None
    transaction_count: Count | None = None
    tx_count: Count | None = None

    @property
    def count(self) -> int | None:
        """Under whichever name; None for zero, which means that it was not counted."""
        return self.transactions_count or self.transaction_count or self.tx_count or None


class _Chart(Struct):
    chart_data: list[Raw]


def parse_chart(body: bytes) -> EthereumStats:
    """The newest day of /stats/charts/transactions. Raises ProviderError."""
    rows = decode_outside(NAME, body, _Chart).chart_data
    points = decode_rows(NAME, rows, _Point, "$.chart_data", lax=True, vital=("date",))
    newest = max((point for point in points if point.count), key=lambda point: point.date, default=None)
    if newest is None:
        raise ProviderError(NAME, "no day in the chart", field="$.chart_data")
    day = datetime.combine(newest.date, time(tzinfo=UTC)).timestamp()
    return EthereumStats(transactions_count=newest.count, day=day)


class Blockscout(EthereumDay):
    """The primary for transactions per day on Ethereum."""

    name = NAME
    base_url = "https://eth.blockscout.com/api/v2"
    other_urls = (_KEYED,)
    budget = Budget(3, 1.0)  # its limit per address without a key
    key_settings = ("blockscout_key",)
    limits = Limits(reset_in_ms=True)  # https://docs.blockscout.com/devs/pro-api-responses-and-routes
    parsers: ClassVar[Parsers] = {"stats": parse_stats, "chart": parse_chart}

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
        """See Provider. The smaller answer."""
        await ask(Request("/stats", parse_stats))

    async def ethereum_day(self, ask: Ask) -> EthereumStats:
        """See EthereumDay. Of the newest whole day."""
        return await ask(Request("/stats/charts/transactions", parse_chart))
