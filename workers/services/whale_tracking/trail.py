"""Trail: where the scan of one chain ended, so that the next one continues without gaps and repetitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

DEPTH = 64
"""Blocks remembered: a deeper reorg is not followed to its fork (Ethereum finalises after about 64)."""
_MOST_ANNOUNCED = 20_000
"""Transfers remembered, 10 bytes each: more than 64 blocks have at the lowest threshold; beyond that the oldest are
dropped.
"""


class Transfer(Struct, frozen=True, kw_only=True):
    """One large transfer on any chain."""

    key: bytes
    """Identifies it, also in another block after a reorg."""
    chain: str
    hash: str
    sender: str | None
    to: str | None
    symbol: str
    amount: float
    """Units of the symbol."""
    usd: float
    time: float
    """Unix seconds."""


class Passed(Struct, frozen=True, array_like=True):
    """A block that was scanned."""

    number: int
    hash: str


class Trail(Struct, frozen=True, kw_only=True):
    """The state of one chain's scan."""

    next: int
    """Number of the block to scan next."""
    passed: tuple[Passed, ...] = ()
    """The blocks scanned last, without a gap up to `next`, the newest last; at most DEPTH."""
    announced: dict[bytes, int] = {}
    """Keys of transfers published lately, and their block's number."""

    @property
    def last(self) -> Passed | None:
        """The block that `next` must follow; None if it is unknown."""
        return self.passed[-1] if self.passed else None

    def follows(self, parent: str) -> bool:
        """Whether a block with this parent may be the next one."""
        return self.last is None or self.last.hash == parent

    def fresh(self, found: Iterable[Transfer]) -> tuple[Transfer, ...]:
        """Those of `found` that are not published yet."""
        return tuple(transfer for transfer in found if transfer.key not in self.announced)

    def announce(self, found: Sequence[Transfer]) -> Trail:
        """The trail after `found`, of block `next`, is published."""
        kept = {key: number for key, number in self.announced.items() if number > self.next - DEPTH}
        kept |= {transfer.key: self.next for transfer in found}
        return replace(self, announced=dict(list(kept.items())[-_MOST_ANNOUNCED:]))

    def after(self, block_hash: str) -> Trail:
        """The trail after block `next`, which has this hash, is scanned completely."""
        passed = (*self.passed, Passed(self.next, block_hash))
        return replace(self, next=self.next + 1, passed=passed[-DEPTH:])

    def back(self) -> Trail:
        """The trail before the block scanned last, to scan its replacement. ValueError if none is remembered."""
        if self.last is None:
            raise ValueError("no block to go back to")
        return replace(self, next=self.last.number, passed=self.passed[:-1])

    def jump(self, number: int) -> Trail:
        """The trail at block `number`, with no scanned blocks before it."""
        return replace(self, next=number, passed=())


def identity(*parts: object) -> bytes:
    """A short key that identifies these parts."""
    return blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
