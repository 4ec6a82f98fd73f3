"""mempool.space: https://mempool.space/docs/api/rest

Esplora's core (see workers/providers/esplora.py) and its own `/v1`. Limits are enforced but not published; clients that
continue after a 429
are banned.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from msgspec import Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import BitcoinStats, BtcHeader, BtcTransaction
from workers.asking.ports import BitcoinMining, BitcoinTip
from workers.asking.provider import Amount, Ask, Parsers, Request, decode, known
from workers.asking.rows import decode_figures
from workers.providers.esplora import (
    Hash,
    Sats,
    all_of,
    parse_blocks,
    parse_mempool,
    parse_page,
    parse_tip,
    parse_transaction,
)

NAME = "mempool"


class _Fees(Struct):
    fastestFee: Amount
    halfHourFee: Amount
    hourFee: Amount


class _Hashrate(Struct):
    currentHashrate: Amount
    currentDifficulty: Amount | None = None


class _Row(Struct):
    txid: Hash
    value: Sats
    """All outputs together."""


def parse_fees(body: bytes) -> BitcoinStats:
    """/v1/fees/precise, in sat/vB with three decimals: rates below 1 are common. Raises ProviderError."""
    fees = decode(NAME, body, _Fees)
    return BitcoinStats(
        fee_fast=known(fees.fastestFee), fee_medium=known(fees.halfHourFee), fee_slow=known(fees.hourFee)
    )


def parse_hashrate(body: bytes) -> BitcoinStats:
    """/v1/mining/hashrate/3d: hashes per second, about 1e21. Raises ProviderError."""
    row = decode_figures(NAME, body, _Hashrate)
    return BitcoinStats(hashrate=known(row.currentHashrate), difficulty=known(row.currentDifficulty))


def parse_summary(body: bytes) -> tuple[tuple[str, int], ...]:
    """/v1/block/:hash/summary: id and sats out of each transaction, in their order. Raises ProviderError."""
    rows = decode(NAME, body, list[_Row])
    if not rows:
        raise ProviderError(NAME, "no transaction in the answer")
    if len({row.txid for row in rows}) < len(rows):
        raise ProviderError(NAME, "one transaction twice")
    return tuple((row.txid, row.value) for row in rows)


class Mempool(BitcoinTip, BitcoinMining):
    """The primary for Bitcoin."""

    name = NAME
    base_url = "https://mempool.space/api"
    # Others found one call in 5 s safe. A minute's calls may be made at once, as its own pages do when opened:
    # explorers asks 3 calls twice a minute, which leaves six for whale_tracking's blocks.
    budget = Budget(12, 60.0)
    parsers: ClassVar[Parsers] = {
        "blocks": partial(parse_blocks, NAME),
        "tip": partial(parse_tip, NAME),
        "mempool": partial(parse_mempool, NAME),
        "fees": parse_fees,
        "hashrate": parse_hashrate,
        "page": partial(parse_page, NAME),
        "transaction": partial(parse_transaction, NAME),
        "summary": parse_summary,
    }

    async def probe(self, ask: Ask) -> None:
        """See Provider. The fees: its smallest answer in which truncation is detected."""
        await ask(Request("/v1/fees/precise", parse_fees))

    async def tip(self, ask: Ask) -> BitcoinStats:
        """See BitcoinTip. Three calls at once."""
        requests = (
            Request("/v1/blocks", self.parsers["tip"]),
            Request("/mempool", self.parsers["mempool"]),
            Request("/v1/fees/precise", parse_fees),
        )
        return await all_of(ask, requests)

    async def mining(self, ask: Ask) -> BitcoinStats:
        """See BitcoinMining."""
        return await ask(Request("/v1/mining/hashrate/3d", parse_hashrate))

    async def blocks(self, ask: Ask) -> tuple[BtcHeader, ...]:
        """The fifteen newest blocks, the newest first. One call. Raises ProviderError."""
        return await ask(Request("/v1/blocks", partial(parse_blocks, NAME)))

    async def page(self, ask: Ask, block_hash: str, start: int) -> tuple[BtcTransaction, ...]:
        """25 transactions of a block from `start`, a multiple of 25. One call. Raises ProviderError."""
        return await ask(Request(f"/block/{block_hash}/txs/{start}", partial(parse_page, NAME)))

    async def summary(self, ask: Ask, block_hash: str) -> tuple[tuple[str, int], ...]:
        """Id and sats out (change included) of every transaction of a block. One call. Raises ProviderError.

        Not in the public documentation; the project's own pages use it.
        """
        return await ask(Request(f"/v1/block/{block_hash}/summary", parse_summary))

    async def transaction(self, ask: Ask, txid: str) -> BtcTransaction:
        """One transaction, confirmed or not. One call. Raises ProviderError."""
        return await ask(Request(f"/tx/{txid}", partial(parse_transaction, NAME)))
