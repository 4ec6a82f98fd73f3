"""Coin Metrics' community API: https://docs.coinmetrics.io/api-reference/api-conventions

Keyless, and licensed CC BY-NC 4.0 (https://creativecommons.org/licenses/by-nc/4.0/): its data may not be used for
commercial purposes. DISABLED_SOURCES=coinmetrics turns it off.

Numbers are strings, times have nine decimals. A metric that a day does not have yet is missing or null; a day that does
not fit costs itself. `AdrActCnt` is the number of addresses that sent or received in a UTC day, each counted once:
https://docs.coinmetrics.io/asset-metrics/addresses/adract30dcnt
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import ActiveAddresses
from workers.answers.dates import unix_seconds
from workers.asking.limits import Limits
from workers.asking.ports import AddressCounter
from workers.asking.provider import Ask, Moment, Parsers, Request, Text
from workers.asking.rows import decode_outside, decode_rows

NAME = "coinmetrics"
_ASSETS = {"bitcoin": "btc", "ethereum": "eth"}
_METRIC = "AdrActCnt"
_DAYS = "3"  # the newest may lack the metric until it is complete

Addresses = Annotated[float, Meta(ge=1, le=1e12)]
"""A number of addresses; a larger one is not from this series. Zero is none: a day without any does not exist."""


class _Day(Struct):
    asset: Text
    time: Moment
    AdrActCnt: Addresses | None = None


class _Answer(Struct):
    data: list[Raw]


def parse_days(body: bytes) -> tuple[ActiveAddresses, ...]:
    """The newest day of each asset that has a count, from /timeseries/asset-metrics. Raises ProviderError."""
    newest: dict[str, tuple[float, float]] = {}
    for row in decode_rows(NAME, decode_outside(NAME, body, _Answer).data, _Day, "$.data", lax=True):
        day = unix_seconds(row.time)
        if row.AdrActCnt and day is not None:
            newest[row.asset] = max(newest.get(row.asset, (day, row.AdrActCnt)), (day, row.AdrActCnt))
    found = tuple(
        ActiveAddresses(chain=chain, day=newest[asset][0], count=round(newest[asset][1]), series=_METRIC)
        for chain, asset in _ASSETS.items()
        if asset in newest
    )
    if not found:
        raise ProviderError(NAME, "no count of addresses in the answer", field="$.data")
    return found


class CoinMetrics(AddressCounter):
    """Addresses per day of Bitcoin and Ethereum."""

    name = NAME
    base_url = "https://community-api.coinmetrics.io/v4"
    # 10 requests in 6 s per address: https://docs.coinmetrics.io/cm-api-spec/rate-limits. Two an hour are planned.
    budget = Budget(10, 60.0)
    limits = Limits(statuses=frozenset({429}))  # 403 is a metric that the community has not, or no longer
    parsers: ClassVar[Parsers] = {"days": parse_days}

    async def probe(self, ask: Ask) -> None:
        """See Provider. Some days of Bitcoin."""
        await self.active_addresses(ask, "bitcoin")

    async def active_addresses(self, ask: Ask, chain: str) -> ActiveAddresses:
        """See AddressCounter. Bitcoin and Ethereum."""
        params = {
            "assets": _ASSETS[chain],
            "metrics": _METRIC,
            "frequency": "1d",
            "limit_per_asset": _DAYS,
        }
        for found in await ask(Request("/timeseries/asset-metrics", parse_days, params)):
            if found.chain == chain:
                return found
        raise ProviderError(NAME, f"no count of {chain}'s addresses in the answer", field="$.data")
