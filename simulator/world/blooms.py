"""Blooms of simulated blocks and receipts: three bits for each address and topic of each log (yellow paper, 4.3.1)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from shared.keccak import keccak256

_DIGITS = 512  # of 2048 bits in hex


def bloom_of(logs: Iterable[dict[str, Any]]) -> str:
    """The `logsBloom` of these logs, which have the form of JSON-RPC."""
    bits = 0
    for log in logs:
        for item in (log["address"], *log["topics"]):
            bits |= _bits(item)
    return f"0x{bits:0{_DIGITS}x}"


@lru_cache(maxsize=8192)  # the simulated chain has some 4,000 addresses and a dozen topics
def _bits(item: str) -> int:
    digest = keccak256(bytes.fromhex(item[2:]))
    return sum({1 << (int.from_bytes(digest[at : at + 2], "big") & 0x7FF) for at in (0, 2, 4)})
