"""Ports of sources for a scan of Bitcoin; each source has some of them. Also finds the newest blocks."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from shared.errors import ProviderError
from workers.answers import BtcBlock, BtcHeader, BtcTransaction
from workers.asking.provider import Ask
from workers.services.whale_tracking.trail import Trail

MAX_CATCH_UP = 6
"""Blocks, an hour: after a longer absence older ones are skipped, as old transfers are not news."""


@runtime_checkable
class Headers(Protocol):
    """Has a list of the newest blocks."""

    async def blocks(self, ask: Ask) -> tuple[BtcHeader, ...]:
        """Raises ProviderError."""
        ...


@runtime_checkable
class Whole(Protocol):
    """Has whole blocks, and the newest one's header, without its parent."""

    async def latest(self, ask: Ask) -> BtcHeader:
        """Raises ProviderError."""
        ...

    async def block(self, ask: Ask, block_hash: str) -> BtcBlock:
        """Raises ProviderError."""
        ...


@runtime_checkable
class Summary(Protocol):
    """Has the ids of a block's transactions, and the sum of each."""

    async def summary(self, ask: Ask, block_hash: str) -> tuple[tuple[str, int], ...]:
        """Raises ProviderError."""
        ...


@runtime_checkable
class Pages(Protocol):
    """Has a block's transactions, 25 per call."""

    async def page(self, ask: Ask, block_hash: str, start: int) -> tuple[BtcTransaction, ...]:
        """Raises ProviderError."""
        ...


def first_wanted(trail: Trail, newest: int) -> int:
    """Number of the oldest block that a scan from `trail` needs; `newest` is the number of the newest."""
    return max(trail.next, newest - MAX_CATCH_UP + 1)


async def headers_of(provider: Any, ask: Ask, trail: Trail | None) -> tuple[BtcHeader, ...]:
    """The newest blocks without a gap, the oldest first. Raises ProviderError."""
    name: str = provider.name
    if isinstance(provider, Headers):
        newest, *others = sorted(await provider.blocks(ask), key=lambda header: -header.height)
        chain = [newest]
        for header in others:
            if header.hash != chain[-1].parent:
                break
            chain.append(header)
        if trail is not None and chain[-1].height > first_wanted(trail, newest.height):
            raise ProviderError(name, f"block {chain[-1].height - 1} is missing in its list")
        return tuple(reversed(chain))
    newest = await provider.latest(ask)
    wanted = newest.height if trail is None else first_wanted(trail, newest.height)
    if newest.height > wanted:
        newest = (await provider.block(ask, newest.hash)).header  # only the whole block names its parent
    chain = [newest]
    while chain[-1].height > wanted and chain[-1].parent is not None:
        chain.append((await provider.block(ask, chain[-1].parent)).header)
    return tuple(reversed(chain))
