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
_PER_SAMPLE = 150  # slots of a minute
_MOST_SAMPLES = 720
_FEES = 150  # slots whose fees a node remembers
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

    def samples(params: Sequence[Any]) -> list[dict[str, int]]:
        count = min(int(params[0]) if params else _MOST_SAMPLES, _MOST_SAMPLES)
        newest = slot() // _PER_SAMPLE
        return [_sample(world, minute) for minute in range(newest, newest - count, -1)]

    def fees(params: Sequence[Any]) -> list[dict[str, int]]:
        newest = slot()
        return [{"slot": at, "prioritizationFee": _fee(world, at)} for at in range(newest - _FEES + 1, newest + 1)]

    methods: Methods = {
        "getHealth": lambda params: "ok",
        "getSlot": lambda params: slot(),
        "getBlockHeight": lambda params: slot() - _SKIPPED,
        "getBlockTime": time_of,
        "getRecentPerformanceSamples": samples,
        "getRecentPrioritizationFees": fees,
        "getGenesisHash": lambda params: "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
        "getVersion": lambda params: {"feature-set": 0, "solana-core": "0.0.0 (simulated)"},
    }
    return rpc_host(lambda name: methods)


def _sample(world: World, minute: int) -> dict[str, int]:
    """The sample that ends with slot `minute * _PER_SAMPLE`; two thirds of all transactions are votes."""
    real = round(70_000 * (1 + 0.3 * world.market.wave("solana/activity", 3600.0, minute * 60.0)))
    return {
        "numNonVoteTransactions": real,
        "numSlots": _PER_SAMPLE,
        "numTransactions": 3 * real,
        "samplePeriodSecs": 60,
        "slot": minute * _PER_SAMPLE,
    }


def _fee(world: World, slot: int) -> int:
    """Micro-lamports per compute unit; none in many slots."""
    return max(0, round(20_000 * world.market.wave("solana/fee", 40.0, slot * _SLOT)))
