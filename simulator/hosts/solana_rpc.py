"""JSON-RPC nodes of Solana: https://solana.com/docs/rpc"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from simulator.host import Host, World
from simulator.hosts.ethereum_rpc import Methods, Refusal, rpc_host

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

    def time_of(params: Sequence[Any]) -> int:
        wanted = int(params[0])
        if wanted > slot():
            raise Refusal(-32004, f"Block not available for slot {wanted}")
        return math.floor(_SLOTS_AT + (wanted - _SLOTS) * _SLOT)

    methods: Methods = {
        "getHealth": lambda params: "ok",
        "getSlot": lambda params: slot(),
        "getBlockHeight": lambda params: slot() - _SKIPPED,
        "getBlockTime": time_of,
        "getGenesisHash": lambda params: "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
        "getVersion": lambda params: {"feature-set": 0, "solana-core": "0.0.0 (simulated)"},
    }
    return rpc_host(lambda name: methods)
