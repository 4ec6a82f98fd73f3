"""Constants of each chain: its identity, its block time, and how its newest block may look."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from workers.providers.solana_rpc import GENESIS

_LAG = 36.0  # s of blocks that a node may be behind: nodes behind one load balancer differ by a block or two
_SLOW = 5.0  # s: chains with at least this block time publish every block; faster ones only the newest
FASTER = 10.0
"""How many times faster than its block time a chain may become. Upgrades shorten it: Base's became a tenth in 2026.
Development chains are faster too."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Constants of a chain."""

    identity: int | str | None
    """Chain id of EIP-155, or for Solana the hash of its first block; None if it is not checked."""
    block_time: float
    """Seconds between two blocks."""
    known: tuple[int, float] | None = None
    """A block that is known to exist: its height and time (unix seconds). Limits what heights are possible."""
    stale: float = 120.0
    """Seconds, the oldest newest block of a node that counts as up to date: ten slots of Ethereum. Three empty slots in
    a row occur; ten don't while the chain is well, and no other chain here pauses as long."""
    ahead: float = 60.0
    """Seconds that a block's time may be ahead of our clock. Nodes reject blocks that are 15 s ahead (geth) or less."""
    depth: int = 64
    """Blocks by which the head may be lower than before, because of a reorganisation: two epochs of Ethereum."""
    lag: int | None = None
    """Blocks behind the head from which a node is lagging; None for 36 s of blocks, at least 2."""

    @property
    def lag_limit(self) -> int:
        """Blocks behind the best node from which a node is lagging."""
        return max(2, ceil(_LAG / self.block_time)) if self.lag is None else self.lag

    @property
    def slack(self) -> int:
        """Blocks by which two heads of one chain may differ beyond what their times explain."""
        return self.lag_limit - 1

    @property
    def newest(self) -> int:
        """Most blocks per update: the newest.

        16 are enough for five minutes of Ethereum. Chains with a block time of 2 s or less have two, as each costs a
        header with the hashes of all transactions.
        """
        return 16 if self.block_time >= _SLOW else 2

    def ceiling(self, now: float) -> float:
        """The highest height that is possible at `now` (unix seconds); infinite if no block of the chain is known."""
        if self.known is None:
            return float("inf")
        height, time = self.known
        return height + max(0.0, now - time) * FASTER / self.block_time


ETHEREUM = Chain(1, 12.0, (25_092_276, 1_778_748_503.0))  # slots: ethereum.org/developers/docs/blocks
CHAINS: dict[str, Chain] = {
    "ethereum": ETHEREUM,
    "bsc": Chain(56, 0.45, (58_054_314, 1_755_538_889.0)),  # BEP-619, since 2026-01-14
    "polygon": Chain(137, 2.0, (35_057_569, 1_667_285_686.0)),  # docs.polygon.technology/pos
    "base": Chain(8453, 0.2, (11_382_950, 1_709_555_247.0)),  # docs.base.org, Denim, since 2026-11-05; before, 2 s
    "optimism": Chain(10, 2.0, (105_235_063, 1_686_068_903.0)),  # specs.optimism.io, Bedrock's first block
    "arbitrum": Chain(42161, 0.25, (22_207_817, 1_661_956_342.0)),  # docs.arbitrum.io, Nitro's first block
    "solana": Chain(GENESIS, 0.4, (383_313_746, 1_773_085_108.0)),  # solana.com/docs, slots of 400 ms
}
"""Chains by the name that RPC_NODES uses for them. Known blocks are recorded ones, unless stated otherwise."""
OTHER = Chain(None, 12.0, stale=3600.0)
"""Any other name is an EVM chain whose id is not checked. Its block time is unknown, so its head may be an hour old."""
BITCOIN = Chain(
    None,
    600.0,
    (969_462, 1_790_869_681.0),
    # Blocks come at random, 10 min apart on average: two hours without one occur every third year, three hours once in
    # a thousand years. Miners set the time, at most two hours ahead of the network's (bitcoin/src/validation.cpp,
    # MAX_FUTURE_BLOCK_TIME).
    stale=10_800.0,
    ahead=7200.0,
    depth=2,
    # Sources that are two blocks behind are tolerated, as explorers get a block at different times.
    lag=3,
)


def chain_of(name: str) -> Chain:
    """The chain `name`."""
    return CHAINS.get(name, OTHER)
