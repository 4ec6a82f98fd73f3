"""What a source of Bitcoin's blocks gives per call: a whole block, the ids of its large transactions, or a page of it.

A block has as many transactions as its header says; a source that gives fewer, or those of another place, is not
believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from shared.errors import ProviderError
from workers.answers import BtcBlock, BtcHeader, BtcTransaction
from workers.asking.provider import Ask, Provider, StatusError
from workers.services.whale_tracking.bitcoin_sources import Pages, Summary, Whole
from workers.services.whale_tracking.large import large_bitcoin, least_sats
from workers.services.whale_tracking.trail import Trail, Transfer

_PAGE = 25  # transactions of a full page, in Esplora's API
_PAST_THE_END = 400
"""HTTP status of Esplora for a page after a block's last; for a block that it lacks it is 404."""


class Pending(Struct, frozen=True, kw_only=True):
    """A block of which a part is scanned."""

    hash: str
    txids: tuple[str, ...] = ()
    """Ids of possibly large transactions, still to be asked for; if empty, pages are read."""
    start: int = 0
    """Transactions read in pages so far."""


@dataclass
class Work:
    """One cycle's scan."""

    trail: Trail
    pending: Pending | None
    price: float
    threshold: float
    found: list[Transfer] = field(default_factory=list)
    sources: dict[str, float] = field(default_factory=dict)

    def announce(self, transactions: Sequence[BtcTransaction], time: float) -> None:
        """Add the large transfers that were not published yet."""
        large = [large_bitcoin(tx, time, self.price, self.threshold) for tx in transactions]
        fresh = self.trail.fresh(transfer for transfer in large if transfer is not None)
        self.trail = self.trail.announce(fresh)
        self.found += fresh

    def finish(self, block_hash: str) -> None:
        """Mark the block as scanned."""
        self.trail, self.pending = self.trail.after(block_hash), None


@dataclass(frozen=True, slots=True)
class Piece:
    """One question to a source of blocks: as much of a block as it returns per call."""

    work: Work
    pending: Pending
    header: BtcHeader

    async def go(self, provider: Provider, ask: Ask) -> None:
        """Raises ProviderError; then nothing has changed."""
        name = provider.name
        if isinstance(provider, Whole):
            await self._whole(provider, ask)
        elif self.header.parent is None and self.work.trail.last is not None:
            raise ProviderError(provider.name, "pieces of a block whose parent is not known")
        elif isinstance(provider, Summary):
            rows = await provider.summary(ask, self.header.hash)
            self._verify(name, [txid for txid, _ in rows])
            least = least_sats(self.work.price, self.work.threshold)
            txids = tuple(txid for txid, sats in rows[1:] if sats >= least)  # the first one is the coinbase
            if txids:
                self.work.pending = Pending(hash=self.header.hash, txids=txids)
            else:
                self.work.finish(self.header.hash)
        elif isinstance(provider, Pages):
            await self._page(provider, ask, name)
        else:
            raise ProviderError(provider.name, "has no blocks")

    async def _whole(self, provider: Any, ask: Ask) -> None:
        block: BtcBlock = await provider.block(ask, self.header.hash)
        if block.header.hash != self.header.hash or block.header.height != self.header.height:
            raise ProviderError(provider.name, "another block than the one asked for")
        self._verify(provider.name, [tx.txid for tx in block.transactions])
        parent = block.header.parent
        if parent is not None and not self.work.trail.follows(parent):
            self.work.trail, self.work.pending = self.work.trail.back(), None
            return
        self.work.announce(block.transactions, block.header.time)
        self.work.finish(self.header.hash)

    async def _page(self, provider: Pages, ask: Ask, name: str) -> None:
        start, count = self.pending.start, self.header.count
        if start and start == count:
            self.work.finish(self.header.hash)
            return
        try:
            page = await provider.page(ask, self.header.hash, start)
        except StatusError as error:
            if count is not None or not start or error.status != _PAST_THE_END:
                raise
            self.work.finish(self.header.hash)
            return
        end = start + len(page)
        if not page or (count is not None and (end > count or (len(page) < _PAGE and end < count))):
            raise ProviderError(name, f"{end} of a block's {count or 'unknown number of'} transactions")
        # Only the first transaction of a block spends nothing: a page that a proxy kept of another place is noticed.
        first = [start + place == 0 for place in range(len(page))]
        if len(page) > _PAGE or _repeats([tx.txid for tx in page]) or [not tx.inputs for tx in page] != first:
            raise ProviderError(name, f"another page than the one from {start}")
        self.work.announce(page, self.header.time)
        if end == count:
            self.work.finish(self.header.hash)
        else:
            self.work.pending = Pending(hash=self.header.hash, start=start + _PAGE)

    def _verify(self, name: str, txids: Sequence[str]) -> None:
        """Raises ProviderError if these are not all transactions of the block, each once."""
        if self.header.count not in (None, len(txids)) or _repeats(txids):
            raise ProviderError(name, f"{len(set(txids))} of a block's {self.header.count or len(txids)} transactions")


def _repeats(txids: Sequence[str]) -> bool:
    return len(set(txids)) < len(txids)
