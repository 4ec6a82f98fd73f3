"""Blockstream's Esplora: https://github.com/Blockstream/esplora/blob/master/API.md

mempool.space has the same core, so parsers here take the provider's name. Amounts are satoshis, times unix seconds.
Outputs with data, a bare key or bare multisig have no address. A coinbase's input spends nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import BitcoinStats, BtcHeader, BtcOutput, BtcTransaction
from workers.asking.gathering import gather_all
from workers.asking.ports import BitcoinTip
from workers.asking.provider import Amount, Ask, Count, Parsers, Request, Seconds, decode, known
from workers.asking.rows import note_left_out, note_read

NAME = "esplora"
PAGE = 25
"""Transactions per page; pages begin at multiples of it."""

_NEXT = 2
"""The number of blocks whose fee stands for the next block's."""

_TARGET = re.compile(r"[0-9]{1,4}")  # up to 1008 blocks, a week

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
"""Of a block or a transaction."""
Sats = Annotated[int, Meta(ge=0, le=21_000_000 * 10**8)]
"""An amount; at most all bitcoins together."""


MaybeHash = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
"""A hash, or an empty text where there is none."""


class _Block(Struct):
    id: Hash
    height: Count
    timestamp: Seconds
    difficulty: Amount
    tx_count: Count | None = None
    previousblockhash: MaybeHash | None = None


class _Output(Struct):
    value: Sats
    scriptpubkey_address: str | None = None


class _Input(Struct):
    is_coinbase: bool
    prevout: _Output | None = None


class _Transaction(Struct):
    txid: Hash
    vin: list[_Input]
    vout: list[_Output]


class _Mempool(Struct):
    count: Count


def parse_blocks(name: str, body: bytes) -> tuple[BtcHeader, ...]:
    """The rows of /blocks, the newest first. Raises ProviderError."""
    return tuple(
        BtcHeader(
            height=row.height,
            hash=row.id,
            parent=row.previousblockhash or None,
            time=float(row.timestamp),
            count=row.tx_count,
        )
        for row in _blocks(name, body)
    )


def parse_tip(name: str, body: bytes) -> BitcoinStats:
    """Height, time and difficulty from the newest row of /blocks. Raises ProviderError."""
    row = _blocks(name, body)[0]
    return BitcoinStats(latest_block=row.height, block_time=float(row.timestamp), difficulty=known(row.difficulty))


def parse_mempool(name: str, body: bytes) -> BitcoinStats:
    """The number of transactions of /mempool. Raises ProviderError."""
    return BitcoinStats(mempool_size=decode(name, body, _Mempool).count)


def parse_page(name: str, body: bytes) -> tuple[BtcTransaction, ...]:
    """The rows of /block/:hash/txs/:start. Raises ProviderError."""
    rows = decode(name, body, list[_Transaction])
    if not rows:
        raise ProviderError(name, "no transaction in the answer")
    if len({row.txid for row in rows}) < len(rows):
        raise ProviderError(name, "one transaction twice")
    return tuple(_transaction(name, row) for row in rows)


def parse_transaction(name: str, body: bytes) -> BtcTransaction:
    """/tx/:txid. Raises ProviderError."""
    return _transaction(name, decode(name, body, _Transaction))


def parse_estimates(body: bytes) -> BitcoinStats:
    """/fee-estimates: sat/vB by the number of blocks that a transaction may wait. Raises ProviderError.

    A node that runs for a short time, or is older, lacks targets. Bitcoin Core has none below 2 (`estimatesmartfee`:
    "the request target will be clamped between 2 and the highest target"), so that of 2 stands for the next block. For
    the others the fee of the longest wait within the target is enough; without one the fee is None.
    """
    rates = decode(NAME, body, dict[str, Amount])
    by_target = {int(blocks): rate for blocks, rate in rates.items() if _TARGET.fullmatch(blocks) and rate}
    if not by_target:
        raise ProviderError(NAME, "no fee for any number of blocks")
    # Half an hour is three blocks, an hour six.
    fast, medium, slow = (_fee(by_target, blocks) for blocks in (_NEXT, 3, 6))
    return BitcoinStats(fee_fast=by_target.get(1, fast), fee_medium=medium, fee_slow=slow)


async def all_of(ask: Ask, requests: Sequence[Request[BitcoinStats]]) -> BitcoinStats:
    """The figures of several requests made at once, the first for the height.

    An answer of the others that can't be read costs only its own figures. Raises the ProviderError of the first request
    that failed, or of a height that can't be read.
    """
    tip, *others = requests
    stats = BitcoinStats()
    for result in await gather_all(ask(tip), *(ask(_optional(request)) for request in others)):
        stats = stats.filled(result)
    return stats


def _fee(by_target: Mapping[int, float], target: int) -> float | None:
    """The fee of the longest wait within `target` blocks."""
    within = [blocks for blocks in by_target if blocks <= target]
    return by_target[max(within)] if within else None


def _optional(request: Request[BitcoinStats]) -> Request[BitcoinStats]:
    """The same request, with no figures for an answer that can't be read, which is noted."""

    def parse(body: bytes) -> BitcoinStats:
        note_read(1)
        try:
            return request.parse(body)
        except ProviderError as error:
            note_left_out(request.path.rpartition("/")[2], error.reason)
            return BitcoinStats()

    return replace(request, parse=parse)


class Esplora(BitcoinTip):
    """The first fallback for Bitcoin. It has no hash rate and no number of transactions per day."""

    name = NAME
    base_url = "https://blockstream.info/api"
    budget = Budget(700, 3600.0)  # its limit per address; then 429 without Retry-After
    parsers: ClassVar[Parsers] = {
        "blocks": partial(parse_blocks, NAME),
        "tip": partial(parse_tip, NAME),
        "mempool": partial(parse_mempool, NAME),
        "estimates": parse_estimates,
        "page": partial(parse_page, NAME),
        "transaction": partial(parse_transaction, NAME),
    }

    async def probe(self, ask: Ask) -> None:
        """See Provider. The fees. The height would be smaller, but a truncated number could not be detected."""
        await ask(Request("/fee-estimates", parse_estimates))

    async def tip(self, ask: Ask) -> BitcoinStats:
        """See BitcoinTip. Three calls at once."""
        requests = (
            Request("/blocks", self.parsers["tip"]),
            Request("/mempool", self.parsers["mempool"]),
            Request("/fee-estimates", parse_estimates),
        )
        return await all_of(ask, requests)

    async def blocks(self, ask: Ask) -> tuple[BtcHeader, ...]:
        """The ten newest blocks, the newest first. One call. Raises ProviderError."""
        return await ask(Request("/blocks", partial(parse_blocks, NAME)))

    async def page(self, ask: Ask, block_hash: str, start: int) -> tuple[BtcTransaction, ...]:
        """25 transactions of a block from `start`, a multiple of 25. One call. Raises ProviderError."""
        return await ask(Request(f"/block/{block_hash}/txs/{start}", partial(parse_page, NAME)))

    async def transaction(self, ask: Ask, txid: str) -> BtcTransaction:
        """One transaction, confirmed or not. One call. Raises ProviderError."""
        return await ask(Request(f"/tx/{txid}", partial(parse_transaction, NAME)))


def _blocks(name: str, body: bytes) -> list[_Block]:
    rows = decode(name, body, list[_Block])
    if not rows:
        raise ProviderError(name, "no block in the answer")
    return sorted(rows, key=lambda row: -row.height)


def _transaction(name: str, row: _Transaction) -> BtcTransaction:
    if not row.vin or not row.vout:
        raise ProviderError(name, "a transaction without inputs or outputs", field="vin" if not row.vin else "vout")
    spent = [source.prevout for source in row.vin if not source.is_coinbase]
    inputs = tuple(_output(output) for output in spent if output is not None)
    if len(inputs) < len(spent):
        raise ProviderError(name, "an input that does not say what it spends", field="vin.prevout")
    return BtcTransaction(txid=row.txid, inputs=inputs, outputs=tuple(_output(output) for output in row.vout))


def _output(row: _Output) -> BtcOutput:
    # mempool with bitcoind behind it has an empty text where there is no address.
    return BtcOutput(address=(row.scriptpubkey_address or "").strip() or None, sats=row.value)
