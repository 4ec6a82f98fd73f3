"""Answers of Bitcoin explorers: blocks, their transactions, and statistics. Amounts are satoshis."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace


class BtcHeader(Struct, frozen=True, kw_only=True):
    """The header of one block."""

    height: int
    hash: str
    parent: str | None
    """Hash of the block before; None if the source does not give it."""
    time: float
    """Unix seconds, as the miner set them."""
    count: int | None = None
    """How many transactions it has; None if the source does not give it."""


class BtcOutput(Struct, frozen=True, kw_only=True):
    """An amount and the address that holds it."""

    address: str | None
    """None for outputs without an address: data, bare keys, bare multisig."""
    sats: int


class BtcTransaction(Struct, frozen=True, kw_only=True):
    """One transaction."""

    txid: str
    inputs: tuple[BtcOutput, ...]
    """The outputs that it spends; empty for a coinbase."""
    outputs: tuple[BtcOutput, ...]


class BtcBlock(Struct, frozen=True, kw_only=True):
    """A block with its transactions in block order."""

    header: BtcHeader
    transactions: tuple[BtcTransaction, ...]


class BitcoinStats(Struct, frozen=True, kw_only=True):
    """One explorer's figures about the network; None for figures that it does not have."""

    latest_block: int | None = None
    """Height."""
    block_time: float | None = None
    """Unix seconds of the newest block, as the miner set them."""
    hashrate: float | None = None
    """Hashes per second, estimated."""
    difficulty: float | None = None
    mempool_size: int | None = None
    """Unconfirmed transactions."""
    transactions_count: int | None = None
    """In the last 24 h."""
    fee_fast: float | None = None
    """sat/vB for the next block."""
    fee_medium: float | None = None
    """sat/vB for within half an hour."""
    fee_slow: float | None = None
    """sat/vB for within an hour."""
    as_of: float | None = None
    """Unix seconds of these figures; None if the explorer does not give it."""

    def filled(self, other: BitcoinStats) -> BitcoinStats:
        """These figures, with those that are None taken from `other`."""
        gaps = {name: getattr(other, name) for name in self.__struct_fields__ if getattr(self, name) is None}
        return replace(self, **gaps)
