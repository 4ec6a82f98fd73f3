"""A block's `logsBloom`: which addresses and topics its logs may have, and which they certainly have not.

2048 bits. Each address and each topic of each log sets three of them, chosen by its Keccak-256 (yellow paper, 4.3.1).
The bits of an item that is there are set; those of another one may be set by chance, which grows with the number of
logs.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from shared.keccak import keccak256

_BITS = 2048
HEX = 2 + _BITS // 4
"""Characters of a bloom in hex, with 0x."""


class Bloom:
    """One block's bloom. ValueError if `text` is not its hex."""

    def __init__(self, text: str) -> None:
        if len(text) != HEX or text[:2] != "0x":
            raise ValueError("not 2048 bits of hex")
        self._bits = int(text, 16)

    @property
    def chance(self) -> float:
        """The probability that an item that is not there seems to be."""
        return float((self._bits.bit_count() / _BITS) ** 3)

    def may_hold(self, item: str) -> bool:
        """Whether a log may have this address or topic (hex with 0x). False is proof that none has."""
        bits = bits_of(item)
        return self._bits & bits == bits

    def may_hold_log(self, addresses: Iterable[str], topics: Iterable[str]) -> bool:
        """Whether a log of one of `addresses` may have one of `topics`. False is proof that there is none."""
        return any(map(self.may_hold, addresses)) and any(map(self.may_hold, topics))


@lru_cache(maxsize=4096)  # some dozen contracts and topics are asked for, again with each block
def bits_of(item: str) -> int:
    """The three bits of an address or topic (hex with 0x), as they stand in a bloom."""
    digest = keccak256(bytes.fromhex(item[2:]))
    bits = 0
    for place in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[place : place + 2], "big") % _BITS)
    return bits
