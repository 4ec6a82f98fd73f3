"""What Bitcoin explorers say: blocks, their transactions, and statistics. Amounts are satoshis."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace


class BtcHeader(Struct, frozen=True, kw_only=True):
    """Of one block."""

    height: int
    hash: str
    parent: str | None
    """Hash of the block before; None where the source does not say."""
    time: float
    """Unix seconds, as the miner set them."""
    count: int | None = None
    """How many transactions it has; None where that was not said."""


class BtcOutput(Struct, frozen=True, kw_only=True):
    """An amount, and whose it is."""

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
    """A block with its transactions, in their order."""

    header: BtcHeader
    transactions: tuple[BtcTransaction, ...]


class BitcoinStats(Struct, frozen=True, kw_only=True):
    """One explorer's figures of the network; None for those that it does not have."""

    latest_block: int | None = None
    """Height."""
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

    def filled(self, other: BitcoinStats) -> BitcoinStats:
        """These figures, and those of `other` where these have none."""
        gaps = {name: getattr(other, name) for name in self.__struct_fields__ if getattr(self, name) is None}
        return replace(self, **gaps)
