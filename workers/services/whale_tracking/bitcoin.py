"""Scans Bitcoin: every block in order, in one call if a source has whole blocks, else in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from shared.errors import NoSourceError, ProviderError, RateBudgetError
from workers.answers import BtcHeader, BtcTransaction
from workers.asking.gathering import gather_all
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask
from workers.services.rpc_nodes import chains
from workers.services.rpc_nodes.heights import Claim, HeightWatch
from workers.services.whale_tracking.bitcoin_pieces import Pending, Piece, Work
from workers.services.whale_tracking.bitcoin_sources import MAX_CATCH_UP, first_wanted, headers_of
from workers.services.whale_tracking.large import BITCOIN
from workers.services.whale_tracking.trail import Trail, Transfer

log = structlog.get_logger()

TIPS = ("mempool", "esplora", "blockchain_com")
"""Asked for the newest blocks' headers, in this order."""
BLOCKS = ("blockchain_com", "mempool", "esplora")
"""Asked for a block's contents: all at once; the ids of large transactions; or page by page."""
TRANSACTIONS = ("esplora", "mempool")
"""Asked for single transactions; Esplora has the larger budget."""
TIP_REFRESH = 29.0
"""Seconds after which the newest blocks are asked for again: every other cycle, because of mempool.space's budget."""
_STEPS = 12
"""Calls for pieces of blocks per cycle: 720 per hour, Esplora's limit. A block of 120 pages takes three minutes."""
_AT_ONCE = 4  # single transactions asked for at once: each call is short, and the service is a public one
_TOLERATED = 1  # blocks that a source may be behind without a fault: sources get the newest one seconds apart
_TIME_SHARE = 0.5  # share of the deadline in which new pieces are begun; the rest is for those under way


class BitcoinState(Struct, frozen=True, kw_only=True):
    """The position of the scan, for the next cycle."""

    trail: Trail | None = None
    pending: Pending | None = None
    """The state of block `trail.next`."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """The result of one cycle's scan."""

    state: BitcoinState
    found: tuple[Transfer, ...]
    sources: Mapping[str, float]
    """Names of the providers that answered, or that gave the headers still in use; and the unix seconds of the newest
    block that they gave, as its miner set them.
    """


class BitcoinScan:
    """Scans Bitcoin from where a state ended."""

    def __init__(
        self,
        tips: SourcePool[Any],
        blocks: SourcePool[Any],
        transactions: SourcePool[Any],
        threshold: float,
    ) -> None:
        """`threshold` in USD."""
        self.tips, self.blocks, self.transactions = tips, blocks, transactions
        self._threshold = threshold
        self._watch = HeightWatch(chains.BITCOIN)
        self._headers: tuple[BtcHeader, ...] = ()
        """The newest blocks, the oldest first."""
        self._source = ""
        self._asked: float | None = None

    @property
    def is_due(self) -> bool:
        """Whether a scan asks for the newest blocks now."""
        return self._asked is None or self.tips.clock() - self._asked >= TIP_REFRESH

    def forget(self) -> None:
        """Ask for the newest blocks again at the next scan."""
        self._asked = None

    async def scan(self, state: BitcoinState, price: float | None, now: float, deadline: float) -> Scanned:
        """Large transfers in the blocks since `state`, or in the newest block without a trail, within `deadline` s.

        `now` in unix seconds: a source whose newest block can't be that of the chain is passed over.

        Without a price nothing is scanned; the blocks are scanned once there is one. Raises NoSourceError if no source
        has the newest blocks, or the price is missing; other errors pass through.
        """
        if price is None:
            raise NoSourceError(self.tips.name, [ProviderError("prices", "unknown: bitcoin")])
        end = _time() + deadline
        if self.is_due or self._lacks(state.trail):
            await self._refresh(state.trail, now, deadline)
        work = self._begun(state, price)
        work.sources[self._source] = self._headers[-1].time
        stop_at = end - deadline * _TIME_SHARE
        steps = _STEPS
        try:
            while (header := self._next(work)) is not None and steps > 0 and _time() < stop_at:
                steps -= await self._advance(work, header, steps, end - _time())
        except NoSourceError as error:
            spared = bool(error.errors) and all(isinstance(said, RateBudgetError) for said in error.errors)
            if not spared and steps == _STEPS:
                raise  # nothing was scanned; otherwise the rest follows in the next cycle
        return Scanned(BitcoinState(trail=work.trail, pending=work.pending), tuple(work.found), work.sources)

    # The newest blocks.

    async def _refresh(self, trail: Trail | None, now: float, deadline: float) -> None:
        async def question(provider: Any, ask: Ask) -> tuple[BtcHeader, ...]:
            headers = await headers_of(provider, ask, trail)
            self._watch.check(provider.name, Claim(headers[-1].height, headers[-1].time), now)
            if trail is not None and trail.last is not None:
                behind = trail.last.number - headers[-1].height
                if behind > _TOLERATED:
                    raise ProviderError(provider.name, f"{behind} blocks behind", kind="stale")
            return headers

        began = self.tips.clock()
        self._source, self._headers = await self.tips.ask(question, deadline)
        self._asked = began

    def _lacks(self, trail: Trail | None) -> bool:
        """Whether the headers lack the block to scan next, because the scan went back over a reorg since."""
        return trail is not None and self._headers[0].height > first_wanted(trail, self._headers[-1].height)

    def _begun(self, state: BitcoinState, price: float) -> Work:
        """The work to continue: from the newest block if there is no trail, or the trail is too old."""
        newest, oldest = self._headers[-1].height, self._headers[0].height
        trail = state.trail
        if trail is None:
            return Work(Trail(next=newest), None, price, self._threshold)
        first = max(newest - MAX_CATCH_UP + 1, oldest)
        if trail.next < first:
            log.warning("blocks skipped after a long absence", chain=BITCOIN, blocks=first - trail.next)
            return Work(trail.jump(first), None, price, self._threshold)
        return Work(trail, state.pending, price, self._threshold)

    def _next(self, work: Work) -> BtcHeader | None:
        """The block to scan next, after going back over replaced ones; None if all blocks are scanned."""
        hashes = {header.height: header.hash for header in self._headers}
        hashes |= {header.height - 1: header.parent for header in self._headers if header.parent is not None}
        newest, depth = self._headers[-1].height, 0
        while (last := work.trail.last) is not None and last.number < newest:
            if hashes.get(last.number, last.hash) == last.hash:
                break
            work.trail, work.pending, depth = work.trail.back(), None, depth + 1
        if depth:
            log.warning("blocks replaced by a reorg are scanned again", chain=BITCOIN, blocks=depth)
        return next((header for header in self._headers if header.height == work.trail.next), None)

    # What is in them.

    async def _advance(self, work: Work, header: BtcHeader, steps: int, left: float) -> int:
        """Scan a piece of a block, or all of it. Returns the number of calls. Raises NoSourceError."""
        if work.pending is None or work.pending.hash != header.hash:
            work.pending = Pending(hash=header.hash)
        piece = Piece(work, work.pending, header)
        if not work.pending.txids:
            name, _ = await self.blocks.ask(piece.go, left)
        elif BLOCKS[0] not in self.blocks.available:
            return await self._singles(work, work.pending, header, steps, left)
        else:  # this source is available again, and saves a hundred calls
            try:
                name, _ = await self.blocks.ask(piece.go, left, skip=BLOCKS[1:])
            except NoSourceError:
                return await self._singles(work, work.pending, header, steps, left)
        work.sources.setdefault(name, header.time)
        return 1

    async def _singles(self, work: Work, pending: Pending, header: BtcHeader, steps: int, left: float) -> int:
        batch = pending.txids[: min(_AT_ONCE, steps)]

        async def question(provider: Any, ask: Ask) -> tuple[BtcTransaction, ...]:
            found = tuple(await gather_all(*(provider.transaction(ask, txid) for txid in batch)))
            if tuple(tx.txid for tx in found if tx.inputs) != batch:  # a coinbase was not asked for
                raise ProviderError(provider.name, "another transaction than the one asked for")
            return found

        name, transactions = await self.transactions.ask(question, left)
        work.sources.setdefault(name, header.time)
        work.announce(transactions, header.time)
        work.pending = replace(pending, txids=pending.txids[len(batch) :])
        if not work.pending.txids:
            work.finish(header.hash)
        return len(batch)


def _time() -> float:
    return asyncio.get_running_loop().time()
