"""Trail: where the scan of one chain ended, so that the next one leaves no gap and repeats nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

DEPTH = 64
"""Blocks remembered: a deeper reorg is not followed to its fork (Ethereum finalises after about 64)."""
_MOST_ANNOUNCED = 20_000
"""Transfers remembered, 10 bytes each: more than 64 blocks have at the lowest threshold; beyond it the oldest go."""


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
        """The block that `next` must follow; None where that is not known."""
        return self.passed[-1] if self.passed else None

    def follows(self, parent: str) -> bool:
        """Whether a block with this parent may come next."""
        return self.last is None or self.last.hash == parent

    def fresh(self, found: Iterable[Transfer]) -> tuple[Transfer, ...]:
        """Those of `found` that were not published yet."""
        return tuple(transfer for transfer in found if transfer.key not in self.announced)

    def announce(self, found: Sequence[Transfer]) -> Trail:
        """After `found`, of block `next`, was published."""
        kept = {key: number for key, number in self.announced.items() if number > self.next - DEPTH}
        kept |= {transfer.key: self.next for transfer in found}
        return replace(self, announced=dict(list(kept.items())[-_MOST_ANNOUNCED:]))

    def after(self, block_hash: str) -> Trail:
        """After the whole of block `next`, which has this hash."""
        passed = (*self.passed, Passed(self.next, block_hash))
        return replace(self, next=self.next + 1, passed=passed[-DEPTH:])

    def back(self) -> Trail:
        """Before the block scanned last, to scan what replaced it. ValueError where none is remembered."""
        if self.last is None:
            raise ValueError("no block to go back to")
        return replace(self, next=self.last.number, passed=self.passed[:-1])

    def jump(self, number: int) -> Trail:
        """On at block `number`, whatever came before."""
        return replace(self, next=number, passed=())


def identity(*parts: object) -> bytes:
    """A short key for what these parts name."""
    return blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
