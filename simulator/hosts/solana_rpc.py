"""JSON-RPC nodes of Solana: https://solana.com/docs/rpc"""

from __future__ import annotations

import math

from simulator.host import Host, World
from simulator.hosts.ethereum_rpc import Methods, rpc_host

_SLOT = 0.4
"""Seconds of one slot."""
_SLOTS = 405_318_582
"""A slot of the recordings, at `_SLOTS_AT` (unix seconds)."""
_SLOTS_AT = 1_773_085_108
_SKIPPED = 22_000_000
"""Slots without a block so far; here no more are added."""


def host(world: World) -> Host:
    """A node of mainnet, confirmed blocks."""

    def slot() -> int:
        return _SLOTS + math.floor((world.clock.now() - _SLOTS_AT) / _SLOT)

    methods: Methods = {
        "getHealth": lambda params: "ok",
        "getSlot": lambda params: slot(),
        "getBlockHeight": lambda params: slot() - _SKIPPED,
        "getGenesisHash": lambda params: "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
        "getVersion": lambda params: {"feature-set": 0, "solana-core": "0.0.0 (simulated)"},
    }
    return rpc_host(lambda name: methods)
