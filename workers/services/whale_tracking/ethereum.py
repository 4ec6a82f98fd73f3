"""Scans Ethereum: every block that is deep enough, in order, from JSON-RPC nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from shared.errors import NoSourceError, ProviderError
from workers.answers import EthBlock
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask
from workers.providers.ethereum_rpc import TRANSFER, EthereumRpc
from workers.services.rpc_nodes import chains
from workers.services.rpc_nodes.heights import Claim, HeightWatch
from workers.services.rpc_nodes.log_proof import LogProof
from workers.services.rpc_nodes.nodes import verify_mainnet
from workers.services.whale_tracking.large import (
    CONTRACTS,
    ETHEREUM,
    TOKENS,
    large_native,
    large_tokens,
    native_transfer,
)
from workers.services.whale_tracking.trail import Trail, Transfer

log = structlog.get_logger()

CONFIRMATIONS = 2
"""Blocks above a block before it is scanned. One-block reorgs happen a few times per day and stay above it; the trail
follows deeper ones. This delays transfers by 24 s, and lets slower backends of a public node catch up.
"""
MAX_CATCH_UP = 100
"""Blocks, 20 min: after a longer absence older ones are skipped, as old transfers are not news."""
BLOCKS_A_CYCLE = 20
"""Most blocks per cycle when catching up; usually there are one or two new ones in 15 s. Public nodes refuse many more.
"""
_TIME_SHARE = 0.5
"""Share of the deadline in which new blocks are begun; the rest is for the block under way and for another node."""
PRICES = ("ethereum", *(token.coin_id for token in TOKENS))
"""CoinGecko ids whose prices a scan needs; some can be replaced, see Token."""
_PATIENCE = 300.0
"""Seconds that blocks wait for the price of a token: price sources fail together, and for minutes. Then the others'
transfers are published without this token's, as after 20 min all of them would be skipped. Ether's price is always
waited for.
"""


@dataclass(frozen=True, slots=True)
class Scanned:
    """The result of one cycle's scan."""

    trail: Trail | None
    """Where the scan ended; None if the chain has no block that is deep enough yet."""
    found: tuple[Transfer, ...]
    sources: Mapping[str, float]
    """Names of the providers that answered, and the unix seconds of the newest block that they gave of these."""


@dataclass
class _Work:
    """One cycle's scan. A block is scanned completely or not at all, so that another node can continue."""

    trail: Trail | None
    prices: Mapping[str, float]
    threshold: float
    now: float
    stop_at: float
    """Time by the event loop's clock."""
    verified: set[str]
    """Names of nodes that are known to be on mainnet."""
    proof: LogProof
    watch: HeightWatch
    lacking: set[str] = field(default_factory=set)
    """Names of nodes that had no block where their newest one is two above it."""
    found: list[Transfer] = field(default_factory=list)
    sources: dict[str, float] = field(default_factory=dict)
    blocks: int = 0
    scanned: float = 0.0
    """Unix seconds of the block scanned last."""

    async def go(self, node: EthereumRpc, ask: Ask) -> None:
        """Scan the blocks that are deep enough, as time allows. Raises ProviderError; blocks scanned by then count."""
        await verify_mainnet(node, ask, self.verified)
        head = await node.header(ask)
        if head is None:
            raise ProviderError(node.name, "no newest block")
        self.watch.check(node.name, Claim(head.number, head.time), self.now)
        if self.trail is not None and self.trail.last is not None and head.number < self.trail.last.number:
            raise ProviderError(
                node.name, f"behind: {self.trail.last.number - head.number} blocks and more", kind="stale"
            )
        safe = head.number - CONFIRMATIONS
        trail = self._begun(safe)
        if trail.next > safe:
            self.trail = trail  # nothing new, or a chain of a few blocks: start with the next one
        # Otherwise the trail is kept only with a block: a head without a block must not move it.
        while trail.next <= safe and self.blocks < BLOCKS_A_CYCLE and _time() < self.stop_at:
            following = await self._advance(node, ask, trail)
            if following is None:
                self.lacking.add(node.name)
                return
            self.trail = trail = following
            self.blocks += 1
            self.sources[node.name] = self.scanned
        # Once it has caught up, the node has said that there is nothing more up to its newest block.
        if trail.next > safe or node.name not in self.sources:
            self.sources[node.name] = head.time

    def _begun(self, safe: int) -> Trail:
        """The trail to continue: a new one if there is none, moved ahead after a long absence."""
        if self.trail is None:
            return Trail(next=max(safe, 0))
        first = safe - MAX_CATCH_UP + 1
        if self.trail.next >= first:
            return self.trail
        log.warning("blocks skipped after a long absence", chain=ETHEREUM, blocks=first - self.trail.next)
        return self.trail.jump(first)

    async def _advance(self, node: EthereumRpc, ask: Ask, trail: Trail) -> Trail | None:
        """The trail one block on, or back at a fork; None if the node lacks the block. Raises ProviderError."""
        block = await node.block(ask, trail.next)
        if block is None:
            return None
        if not trail.follows(block.header.parent):
            return await self._walk_back(node, ask, trail)
        found = await self._native(node, ask, block)
        logs = await node.transfers_in(ask, CONTRACTS, block.header.hash)
        await self.proof.check(node, ask, block.header, CONTRACTS, (TRANSFER,), logs)
        found += large_tokens(logs, block.header, self.prices, self.threshold)
        fresh = trail.fresh(found)
        self.found += fresh
        self.scanned = block.header.time
        return trail.announce(fresh).after(block.header.hash)

    async def _native(self, node: EthereumRpc, ask: Ask, block: EthBlock) -> list[Transfer]:
        price = self.prices["ethereum"]
        found = []
        for tx in large_native(block, price, self.threshold):
            status = await node.receipt_status(ask, tx.hash)
            if status is None:
                raise ProviderError(node.name, "no receipt of a transaction that is in a block")
            if status:
                found.append(native_transfer(tx, block.header, price))
        return found

    async def _walk_back(self, node: EthereumRpc, ask: Ask, trail: Trail) -> Trail:
        """Go back to the newest scanned block that is still on the chain; the blocks after it are scanned again."""
        # Of `passed`, the first `kept` are on the chain; those from `replaced` on are not.
        kept, replaced = 0, len(trail.passed)
        place = replaced - 1  # usually only the newest one was replaced, so begin there
        while kept < replaced:
            header = await node.header(ask, trail.passed[place].number)
            if header is None:
                raise ProviderError(node.name, "lacks blocks below its newest")
            if header.hash == trail.passed[place].hash:
                kept = place + 1
            else:
                replaced = place
            place = replaced - 1 if replaced == len(trail.passed) - 1 else (kept + replaced) // 2
        depth = len(trail.passed) - kept
        for _ in range(depth):
            trail = trail.back()
        log.warning("blocks replaced by a reorg are scanned again", chain=ETHEREUM, blocks=depth)
        return trail


class EthereumScan:
    """Scans Ethereum from where a trail ended."""

    def __init__(self, pool: SourcePool[EthereumRpc], threshold: float) -> None:
        """`threshold` in USD."""
        self.pool = pool
        self._threshold = threshold
        self._verified: set[str] = set()
        self._proof = LogProof()
        self._watch = HeightWatch(chains.ETHEREUM)
        self._unpriced: dict[str, float] = {}
        """By CoinGecko id of a token without a price: since when, by the pool's clock."""
        self._left_out: frozenset[str] = frozenset()
        """Ids of those whose transfers are left out."""
        self._missing: int | None = None
        """The block that no node had, which was logged."""

    async def scan(self, trail: Trail | None, prices: Mapping[str, float], now: float, deadline: float) -> Scanned:
        """Large transfers in the blocks since `trail`, or in the newest block without one, within `deadline` s.

        Without a price nothing is scanned; the blocks are scanned once there is one. Only a token whose price is
        unknown for five minutes is left out. Raises NoSourceError if no node answers or a price is missing; other
        errors pass through.
        """
        prices = _complete(prices)
        missing = self._awaited(prices)
        if missing:
            raise NoSourceError(self.pool.name, [ProviderError("prices", f"unknown: {', '.join(missing)}")])
        end = _time() + deadline
        stop_at = end - deadline * (1 - _TIME_SHARE)
        work = _Work(trail, prices, self._threshold, now, stop_at, self._verified, self._proof, self._watch)
        asked = -1
        try:
            # A node that lacks a block is not at fault, as one of its backends may be late: only the next one is asked.
            while asked < len(work.lacking):
                asked = len(work.lacking)
                await self.pool.ask(work.go, end - _time(), skip=work.lacking)
        except NoSourceError:
            if not work.blocks and not work.lacking:
                raise
        self._report(work)
        return Scanned(work.trail, tuple(work.found), work.sources)

    def _awaited(self, prices: Mapping[str, float]) -> list[str]:
        """The ids whose prices the blocks wait for. Logs once which tokens are left out, and which no longer."""
        now = self.pool.clock()
        unknown = [coin_id for coin_id in PRICES if coin_id not in prices]
        self._unpriced = {coin_id: self._unpriced.get(coin_id, now) for coin_id in unknown}
        out = frozenset(
            coin_id for coin_id, since in self._unpriced.items() if coin_id != ETHEREUM and now - since >= _PATIENCE
        )
        if out != self._left_out:
            log.warning("tokens without a price are left out", coins=sorted(out), before=sorted(self._left_out))
        self._left_out = out
        return [coin_id for coin_id in unknown if coin_id not in out]

    def _report(self, work: _Work) -> None:
        """Log once that no node has the next block, though each has newer ones."""
        stands = work.trail.next if work.lacking and not work.blocks and work.trail is not None else None
        if stands is not None and stands != self._missing:
            log.warning("no node has the next block", chain=ETHEREUM, block=stands, nodes=sorted(work.lacking))
        self._missing = stands


def _complete(prices: Mapping[str, float]) -> dict[str, float]:
    """The prices, with those of the coins that tokens redeem for where a token has none."""
    redeemed = {token.coin_id: token.redeems for token in TOKENS if token.redeems is not None}
    return {**{coin_id: prices[coin] for coin_id, coin in redeemed.items() if coin in prices}, **prices}


def _time() -> float:
    return asyncio.get_running_loop().time()
