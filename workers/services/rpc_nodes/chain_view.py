"""One chain as published: the hash of each block number, and how new heads change it.

Hashes prove a reorganisation; heights alone never do. A different hash for a published number counts only from a node
that is ahead of the published head, or from the node that the head came from. A node that is a block late, or that has
another block at the tip while no node is ahead, changes nothing: the next block decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise

from msgspec import Struct

from shared.errors import ProviderError
from shared.payloads.rpc_nodes import ChainEvent
from workers.answers import EthHeader
from workers.asking.gathering import gather_all
from workers.services.rpc_nodes.heights import Memory

_REMEMBERED = 64
"""Blocks remembered per chain, hence the deepest reorganisation that is reported exactly: two epochs of Ethereum, after
which its blocks are final. A deeper one is reported with this depth."""


class Block(Struct, frozen=True, array_like=True):
    """A block that was published, or could have been."""

    number: int
    hash: str | None
    """None if the chain's nodes report no hash."""


class View(Struct, frozen=True, array_like=True):
    """The published blocks of one chain. It may have gaps: see `newest` in `follow`."""

    node: str
    """The node that the head came from."""
    blocks: tuple[Block, ...]
    """Ascending, never empty."""
    memory: Memory = Memory()
    """What is known of the chain's height. Views of older versions, which cursors may hold, lack it."""

    @property
    def last(self) -> Block:
        """The newest."""
        return self.blocks[-1]


Header = Callable[[int | None], Awaitable[EthHeader | None]]
"""One node's header of a block by number; None for its newest."""


def candidates(view: View | None, heights: Mapping[str, int]) -> list[str]:
    """Nodes whose head may change the view, the best first: those ahead of it, else the node of the view."""
    if view is None:
        ahead = list(heights)
    else:
        ahead = [name for name, height in heights.items() if height > view.last.number]
        if not ahead:
            return [view.node] if view.node in heights else []
    # Among equals, prefer the node of the view: it has no other block at the same height.
    return sorted(ahead, key=lambda name: (-heights[name], view is None or name != view.node))


async def follow(
    chain: str, view: View | None, node: str, header: Header, newest: int
) -> tuple[View | None, Sequence[ChainEvent]]:
    """Ask `node` for its head. Returns the new view and the events since the previous one.

    A reorganisation names the first replaced block, its new hash, and how many were replaced: blocks published from
    that number on are void. New blocks follow, ascending, including those that replace others; of more than `newest`
    only the newest are published, so the first replaced block may never have been.
    Raises ProviderError if the node's answers contradict each other; the previous view then stays valid.
    """
    head = await _there(node, header, None)
    if view is None:
        first = Block(head.number, head.hash)
        return View(node, (first,)), [_new(chain, first)]
    known = {block.number: block.hash for block in view.blocks}
    if head.number <= view.last.number and (node != view.node or known.get(head.number) in (None, head.hash)):
        return view, ()
    above, parent = await _above(node, header, head, view.last.number, newest)
    replaced = await _replaced(node, header, view, head, parent)
    events = []
    kept = [block for block in view.blocks if not replaced or block.number < replaced[0].number]
    if replaced:
        first = replaced[0]
        depth = view.last.number - first.number + 1
        events.append(
            ChainEvent(chain=chain, type="reorg", block_number=first.number, block_hash=first.hash, depth=depth)
        )
    fresh = [*replaced, *above]
    events += [_new(chain, block) for block in fresh[-newest:]]
    return View(node, tuple([*kept, *fresh][-_REMEMBERED:])), events


def follow_heights(chain: str, view: View | None, heights: Mapping[str, int]) -> tuple[View, Sequence[ChainEvent]]:
    """As `follow` for a chain whose nodes report heights only: one event, without a hash, for all added blocks.

    `heights` are those that are believed: see workers/services/rpc_nodes/heights.py.
    """
    node, height = max(heights.items(), key=lambda one: one[1])
    if view is not None and height <= view.last.number:
        return view, ()
    block = Block(height, None)
    return View(node, (block,)), [_new(chain, block)]


async def _above(
    node: str, header: Header, head: EthHeader, last: int, newest: int
) -> tuple[list[Block], Block | None]:
    """The `newest` blocks after number `last`, ascending up to `head`, and verified to be one chain.

    Also the block below them, if that is `last`, as their first one names it.
    """
    if head.number <= last:
        return [], None
    first = max(last + 1, head.number - newest + 1)
    # After a gap the first block's own header is not needed: the second one has its hash.
    lowest = first if first == last + 1 or first == head.number else first + 1
    headers = [*await _each(node, header, range(lowest, head.number)), head]
    for parent, child in pairwise(headers):
        if child.parent != parent.hash:
            raise _changed(node)
    blocks = [Block(one.number, one.hash) for one in headers]
    below = Block(lowest - 1, headers[0].parent)
    if lowest > first:
        blocks.insert(0, below)
    return blocks, below if below.number == last else None


async def _replaced(node: str, header: Header, view: View, head: EthHeader, below: Block | None) -> list[Block]:
    """The blocks that replace published ones, ascending; empty if all published ones are still on the chain.

    `below` is the node's own block at the number of the last one, if known.
    """
    replaced: list[Block] = []
    for block in reversed(view.blocks):
        if block.number > head.number:
            continue  # removed, without a replacement so far
        now: EthHeader | None = head if block.number == head.number else None
        if now is None and (below is None or below.number != block.number):
            now = await _there(node, header, block.number)
        if block.hash == (now.hash if now is not None else below.hash if below is not None else None):
            break
        now = now or await _there(node, header, block.number)
        if below is not None and below.number == now.number and below.hash != now.hash:
            raise _changed(node)
        replaced.insert(0, Block(now.number, now.hash))
        below = Block(now.number - 1, now.parent)
    return replaced


async def _each(node: str, header: Header, numbers: range) -> list[EthHeader]:
    """Headers of these blocks, asked for at once. Raises the first error after the last answer."""
    return await gather_all(*(_there(node, header, number) for number in numbers))


async def _there(node: str, header: Header, number: int | None) -> EthHeader:
    found = await header(number)
    if found is None:
        raise ProviderError(node, f"no block {number if number is not None else 'at all'}")
    return found


def _changed(node: str) -> ProviderError:
    return ProviderError(node, "its chain changed while it was read")


def _new(chain: str, block: Block) -> ChainEvent:
    return ChainEvent(chain=chain, type="new_block", block_number=block.number, block_hash=block.hash)
