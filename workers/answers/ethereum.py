"""Answers about Ethereum and other EVM chains: blocks, transfers and logs. Amounts are in the smallest unit (wei)."""

from __future__ import annotations

from msgspec import Struct


class EthHeader(Struct, frozen=True, kw_only=True):
    """The header of one block. Hashes are lower-case hex with `0x`."""

    number: int
    hash: str
    parent: str
    """Hash of the block before."""
    time: float
    """Unix seconds."""
    gas_used: int
    gas_limit: int
    base_fee: int | None
    """Wei per unit of gas; None before the London fork and on chains without a base fee."""
    count: int | None = None
    """How many transactions it has; None if the node does not list them."""
    bloom: str | None = None
    """Its logsBloom, 2048 bits of hex (see workers/answers/blooms.py); None if the node does not give it."""


class ChainHead(Struct, frozen=True, kw_only=True):
    """The newest block of one node, of any chain."""

    number: int
    time: float | None
    """Unix seconds; None if the node does not say."""
    header: EthHeader | None = None
    """The whole header, on chains whose nodes have it."""


class EthTransaction(Struct, frozen=True, kw_only=True):
    """A transaction as its block holds it. Only its receipt has whether it succeeded."""

    hash: str
    sender: str
    """Address, lower case."""
    to: str | None
    """Address, lower case; None where a contract is created."""
    wei: int


class EthBlock(Struct, frozen=True, kw_only=True):
    """A block with its transactions in block order."""

    header: EthHeader
    transactions: tuple[EthTransaction, ...]


class EthLog(Struct, frozen=True, kw_only=True):
    """One log as nodes give it. Hashes, topics and the address are lower-case hex with `0x`."""

    block: int
    block_hash: str
    transaction: str
    """Hash."""
    index: int
    """Of the log within its block."""
    contract: str
    """Address of the contract that wrote it."""
    topics: tuple[str, ...]
    data: str
    removed: bool
    """Whether a reorg has taken its block off the chain."""


class BlockReceipts(Struct, frozen=True, kw_only=True):
    """The receipts of one block's transactions."""

    count: int
    """How many there are."""
    block_hashes: frozenset[str]
    """The blocks that they name: one, if they are in order."""
    logs: tuple[EthLog, ...]
    """Their logs, in block order."""


class TokenTransfer(Struct, frozen=True, kw_only=True):
    """One ERC-20 Transfer log. Its transaction succeeded: failed ones leave no logs."""

    block: int
    block_hash: str
    transaction: str
    """Hash."""
    index: int
    """Of the log within its block."""
    contract: str
    """Of the token, lower case."""
    sender: str
    to: str
    units: int
    """Amount in the token's smallest unit; one token is 10 ** decimals of them."""


class EthereumStats(Struct, frozen=True, kw_only=True):
    """One explorer's figures about the network; None for figures that it does not have."""

    latest_block: int | None = None
    gas_price_gwei: float | None = None
    """Gwei per unit of gas that the explorer recommends for an ordinary transaction."""
    transactions_count: int | None = None
    """In the last 24 h, or on the last whole day (UTC) if the explorer counts by days."""
    utilization: float | None = None
    """Percent of the gas limit that recent blocks used."""
    as_of: float | None = None
    """Unix seconds of these figures; None if the explorer does not give it."""
    day: float | None = None
    """Unix seconds of the beginning of the day that the transactions are of; None if they are of the last 24 h."""

    def day_or_time(self) -> float | None:
        """The explorer's own time of the transactions, in unix seconds; None if it gives none."""
        return self.as_of if self.day is None else self.day
