"""blockchain.com's explorer: https://www.blockchain.com/explorer/api

Two hosts: data of the chain at blockchain.info, statistics and charts at api.blockchain.info. A wrong path or chart
returns an HTML page. Fees and miners' revenue in /stats have been wrong for years (a recorded total of fees is
negative), so they are not read.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import ActiveAddresses, BitcoinStats, BtcBlock, BtcHeader, BtcOutput, BtcTransaction
from workers.asking.limits import limit_in
from workers.asking.ports import AddressCounter, BitcoinDay, BitcoinMining, BitcoinTip
from workers.asking.provider import Amount, Ask, Count, Parsers, Request, Seconds, decode, known
from workers.asking.rows import decode_figures, decode_outside, decode_rows
from workers.providers.esplora import Hash, Sats

NAME = "blockchain_com"
_CHAIN = "https://blockchain.info"
_LARGEST_BLOCK = 32 << 20  # bytes: a block of 4 MB with scripts in hex, and the spent output of each input
_GIGA = 1e9
_ADDRESSES = "n-unique-addresses"
_MOST_ADDRESSES = 1e12  # a larger figure is not from this chart


class _Latest(Struct):
    hash: Hash
    height: Count
    time: Seconds


class _Output(Struct):
    value: Sats
    addr: str | None = None


class _Input(Struct):
    prev_out: _Output | None = None


class _Transaction(Struct):
    hash: Hash
    inputs: list[_Input]
    out: list[_Output]


class _Block(Struct):
    hash: Hash
    height: Count
    time: Seconds
    prev_block: Hash
    tx: list[_Transaction]
    n_tx: Count | None = None
    """How many transactions it has."""


class _Stats(Struct):
    hash_rate: Amount | None = None
    """GH/s."""
    difficulty: Amount | None = None
    n_tx: Count | None = None
    """Transactions of the last 24 h."""
    timestamp: object = None
    """Unix milliseconds of these figures. Of any type: a wrong one must not cost the figures."""


class _Point(Struct):
    x: Seconds
    y: Amount


class _Chart(Struct):
    status: str
    values: list[Raw]


def parse_latest(body: bytes) -> BtcHeader:
    """/latestblock, which lacks the block's parent. Raises ProviderError."""
    row = decode(NAME, body, _Latest)
    return BtcHeader(height=row.height, hash=row.hash, parent=None, time=float(row.time))


def parse_block(body: bytes) -> BtcBlock:
    """/rawblock/{hash}. Raises ProviderError."""
    row = decode(NAME, body, _Block)
    if not row.tx or row.n_tx not in (None, len(row.tx)):
        raise ProviderError(NAME, f"{len(row.tx)} of a block's {row.n_tx} transactions", field="$.tx")
    if len({tx.hash for tx in row.tx}) < len(row.tx):
        raise ProviderError(NAME, "one transaction twice", field="$.tx")
    header = BtcHeader(height=row.height, hash=row.hash, parent=row.prev_block, time=float(row.time), count=len(row.tx))
    # The coinbase comes first, and it alone spends nothing.
    coinbase, *others = row.tx
    if not coinbase.out:
        raise ProviderError(NAME, "a transaction without outputs", field="$.tx[0].out")
    first = _transaction(coinbase, tuple(_spent(coinbase)))
    return BtcBlock(header=header, transactions=(first, *(_whole(tx) for tx in others)))


def parse_stats(body: bytes) -> BitcoinStats:
    """/stats, without its number of blocks: whether that is the height is undocumented. Raises ProviderError."""
    row = decode_figures(NAME, body, _Stats)
    if row.hash_rate is row.difficulty is row.n_tx is None:
        raise limit_in(NAME, body) or ProviderError(NAME, "no figure in the answer")
    hashrate = known(row.hash_rate)
    if hashrate is not None and hashrate > 1e290:
        raise ProviderError(NAME, "a hash rate beyond all numbers", field="$.hash_rate")
    return BitcoinStats(
        hashrate=hashrate and hashrate * _GIGA,
        difficulty=known(row.difficulty),
        transactions_count=row.n_tx or None,
        as_of=row.timestamp / 1000 if isinstance(row.timestamp, int | float) else None,
    )


def parse_chart(body: bytes) -> tuple[float, float]:
    """The newest point of /charts/{name}: unix seconds, value. Raises ProviderError."""
    chart = decode_outside(NAME, body, _Chart)
    if chart.status != "ok" or not chart.values:
        raise ProviderError(NAME, "no point in the chart", field="$.values")
    newest = max(decode_rows(NAME, chart.values, _Point, "$.values"), key=lambda point: point.x)
    return float(newest.x), newest.y


class BlockchainCom(BitcoinTip, BitcoinMining, BitcoinDay, AddressCounter):
    """Whole blocks in one call, the number of transactions per day, and charts."""

    name = NAME
    base_url = "https://api.blockchain.info"
    other_urls = (_CHAIN,)
    # The only published limit is one call in 10 s for /q, which we don't use. As a fallback, explorers asks for the
    # newest block twice per minute and whale_tracking four times; the rest is for blocks and charts.
    budget = Budget(10, 60.0)
    parsers: ClassVar[Parsers] = {
        "latest": parse_latest,
        "block": parse_block,
        "stats": parse_stats,
        "chart": parse_chart,
    }

    async def probe(self, ask: Ask) -> None:
        """See Provider. The statistics with their hash rate: one kB."""
        await self.mining(ask)

    async def tip(self, ask: Ask) -> BitcoinStats:
        """See BitcoinTip. Height and time only."""
        newest = await self.latest(ask)
        return BitcoinStats(latest_block=newest.height, block_time=newest.time)

    async def mining(self, ask: Ask) -> BitcoinStats:
        """See BitcoinMining."""
        return _with(await self.stats(ask), "hashrate")

    async def day(self, ask: Ask) -> BitcoinStats:
        """See BitcoinDay."""
        return _with(await self.stats(ask), "transactions_count")

    async def latest(self, ask: Ask) -> BtcHeader:
        """The newest block. One call. Raises ProviderError."""
        return await ask(Request("/latestblock", parse_latest, base_url=_CHAIN))

    async def block(self, ask: Ask, block_hash: str) -> BtcBlock:
        """A block with all its transactions. One call of some megabytes. Raises ProviderError."""
        return await ask(Request(f"/rawblock/{block_hash}", parse_block, base_url=_CHAIN, limit=_LARGEST_BLOCK))

    async def stats(self, ask: Ask) -> BitcoinStats:
        """Hash rate, difficulty and the transactions of 24 h. One call. Raises ProviderError."""
        return await ask(Request("/stats", parse_stats))

    async def active_addresses(self, ask: Ask, chain: str) -> ActiveAddresses:
        """See AddressCounter. Bitcoin only: the chart of unique addresses used."""
        day, count = await self.chart(ask, _ADDRESSES)
        if not 1 <= count <= _MOST_ADDRESSES:
            raise ProviderError(NAME, f"{_ADDRESSES}: newest point is {count:g}")
        return ActiveAddresses(chain=chain, day=day, count=round(count), series=_ADDRESSES)

    async def chart(self, ask: Ask, name: str) -> tuple[float, float]:
        """The newest point of a chart (`n-unique-addresses`, `transaction-fees`, …), usually yesterday's.

        Unix seconds and value. One call; charts change every few hours. Raises ProviderError.
        """
        params = {"timespan": "7days", "format": "json", "sampled": "true"}
        return await ask(Request(f"/charts/{name}", parse_chart, params))


def _with(stats: BitcoinStats, figure: str) -> BitcoinStats:
    """`stats` if they have `figure`, for which they were asked. Raises ProviderError: another source may have it."""
    if getattr(stats, figure) is None:
        raise ProviderError(NAME, f"no {figure} in the answer")
    return stats


def _spent(row: _Transaction) -> list[BtcOutput]:
    return [_output(source.prev_out) for source in row.inputs if source.prev_out is not None]


def _whole(row: _Transaction) -> BtcTransaction:
    if not row.inputs or not row.out:
        raise ProviderError(NAME, "a transaction without inputs or outputs", field="$.tx")
    spent = _spent(row)
    if len(spent) < len(row.inputs):
        raise ProviderError(NAME, "an input that does not say what it spends", field="$.tx.inputs.prev_out")
    return _transaction(row, tuple(spent))


def _transaction(row: _Transaction, inputs: tuple[BtcOutput, ...]) -> BtcTransaction:
    return BtcTransaction(txid=row.hash, inputs=inputs, outputs=tuple(_output(output) for output in row.out))


def _output(row: _Output) -> BtcOutput:
    return BtcOutput(address=(row.addr or "").strip() or None, sats=row.value)
