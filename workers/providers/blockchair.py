"""Blockchair: https://github.com/Blockchair/Blockchair.Support/blob/master/API_DOCUMENTATION_EN.md

Without a key 1,440 calls a day for personal use; commercial use needs one. An unknown query parameter is a 400. Some
numbers are strings. After a failed call `data` is null and `context.error` has the reason. `context.cache.since` is the
time of the figures, in UTC without saying so: `2025-10-21 12:49:51`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

import msgspec
from msgspec import Struct

from shared.budget import Budget
from workers.answers import BitcoinStats, EthereumStats
from workers.answers.dates import iso_time
from workers.asking.limits import LIMIT_STATUSES, Limits, limit, refusal
from workers.asking.ports import BitcoinDay, BitcoinMining, BitcoinTip, EthereumDay
from workers.asking.provider import Amount, Ask, Count, Parsers, Request, known
from workers.asking.rows import decode_figures

T = TypeVar("T")

NAME = "blockchair"
_CACHED = 100.0
"""Seconds for which an answer is cached: Blockchair caches it for 70 s itself, and 36 calls per hour leave some to
others.
"""
LIMITS = Limits(statuses=LIMIT_STATUSES | {503})
"""402 and 429 are the limits per day and minute, 435 to 437 those while its servers are busy; 430, 434 and 503 mean
that the address is blocked for a while. `context.code` has the same number.
"""
# 1,440 per day in slices that never exceed its other limit, 30 per minute.
_KEYLESS = Budget(20, 1200.0)
_WITH_KEY = Budget(30, 60.0)


_VITAL = ("data.best_block_height",)  # other figures that do not fit are null


class _Bitcoin(Struct):
    best_block_height: Count
    best_block_time: str | None = None
    """UTC, `2023-04-03 14:04:50`."""
    difficulty: Amount | None = None
    hashrate_24h: Amount | None = None
    mempool_transactions: Count | None = None
    transactions_24h: Count | None = None
    suggested_transaction_fee_per_byte_sat: Amount | None = None
    """For the next block; with SegWit's discount a byte is a virtual byte."""


class _GasPrices(Struct):
    normal: Amount | None = None


class _Ethereum(Struct):
    best_block_height: Count
    transactions_24h: Count | None = None
    suggested_transaction_fee_gwei_options: _GasPrices | None = None


class _Cache(Struct):
    since: str


class _Context(Struct):
    code: Count | None = None
    error: str | None = None
    cache: msgspec.Raw = msgspec.Raw()
    """See `_since`: another shape must not cost the figures."""


class _Answer(Struct, Generic[T]):
    data: T | None
    context: _Context | None = None


def parse_bitcoin(body: bytes) -> BitcoinStats:
    """/bitcoin/stats. Raises ProviderError."""
    whole = decode_figures(NAME, body, _Answer[_Bitcoin], lax=True, vital=_VITAL)
    data = _data(whole)
    return BitcoinStats(
        latest_block=data.best_block_height,
        block_time=_moment(data.best_block_time),
        hashrate=known(data.hashrate_24h),
        difficulty=known(data.difficulty),
        mempool_size=data.mempool_transactions,
        transactions_count=data.transactions_24h or None,
        fee_fast=known(data.suggested_transaction_fee_per_byte_sat),
        as_of=_since(whole.context),
    )


def parse_ethereum(body: bytes) -> EthereumStats:
    """/ethereum/stats. Raises ProviderError."""
    whole = decode_figures(NAME, body, _Answer[_Ethereum], lax=True, vital=_VITAL)
    data = _data(whole)
    prices = data.suggested_transaction_fee_gwei_options
    return EthereumStats(
        latest_block=data.best_block_height,
        gas_price_gwei=known(prices.normal) if prices else None,
        transactions_count=data.transactions_24h or None,
        as_of=_since(whole.context),
    )


class Blockchair(BitcoinTip, BitcoinMining, BitcoinDay, EthereumDay):
    """The last fallback. One call has all figures of a chain, about a minute old."""

    name = NAME
    base_url = "https://api.blockchair.com"
    key_settings = ("blockchair_key",)
    limits = LIMITS
    parsers: ClassVar[Parsers] = {"bitcoin": parse_bitcoin, "ethereum": parse_ethereum}

    def __init__(self, key: str | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`key` is of a paid plan. `clock` (seconds) measures the age of answers."""
        self.budget = _WITH_KEY if key else _KEYLESS
        self._params = {"key": key} if key else {}
        self._clock = clock
        self._bitcoin: tuple[float, BitcoinStats] | None = None

    async def probe(self, ask: Ask) -> None:
        """See Provider. Bitcoin's statistics, never from the cache."""
        await ask(Request("/bitcoin/stats", parse_bitcoin, self._params))

    async def tip(self, ask: Ask) -> BitcoinStats:
        """See BitcoinTip."""
        return await self.stats(ask)

    async def mining(self, ask: Ask) -> BitcoinStats:
        """See BitcoinMining."""
        return await self.stats(ask)

    async def day(self, ask: Ask) -> BitcoinStats:
        """See BitcoinDay."""
        return await self.stats(ask)

    async def stats(self, ask: Ask) -> BitcoinStats:
        """Bitcoin's statistics. At most one call in 100 s: earlier requests get the cached answer.

        Raises ProviderError.
        """
        if self._bitcoin is None or self._clock() - self._bitcoin[0] >= _CACHED:
            answer = await ask(Request("/bitcoin/stats", parse_bitcoin, self._params))
            self._bitcoin = self._clock(), answer
        return self._bitcoin[1]

    async def ethereum_day(self, ask: Ask) -> EthereumStats:
        """See EthereumDay. Also the height and the gas price."""
        return await ask(Request("/ethereum/stats", parse_ethereum, self._params))


def _since(context: _Context | None) -> float | None:
    """Unix seconds of the answer's figures; None if it does not say."""
    try:
        return _moment(msgspec.json.decode(context.cache if context is not None else b"", type=_Cache).since)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _moment(written: str | None) -> float | None:
    """Unix seconds; None for a time that is missing or not whole."""
    return iso_time(written or "", utc=True)


def _data(answer: _Answer[T]) -> T:
    if answer.data is None:
        said = answer.context.error if answer.context else None
        reason = f"error in the answer: {(said or 'no data')[:80]}"
        if answer.context and answer.context.code in LIMITS.statuses:
            raise limit(NAME, reason, said or "", field="$.context.code")
        raise refusal(NAME, reason, said or "", field="$.data")
    return answer.data
