"""What is told of a chain: every block once, and reorganisations only where hashes prove them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ProviderError
from shared.payloads.rpc_nodes import ChainEvent
from workers.answers import EthHeader
from workers.services.rpc_nodes.chain_view import Block, View, candidates, follow, follow_heights


@dataclass
class Chain:
    """Blocks by number; a hash is `<number>/<branch>`."""

    hashes: list[str] = field(default_factory=lambda: ["0/0"])
    branches: int = 0

    def mine(self, blocks: int) -> None:
        first = len(self.hashes)
        self.hashes += [f"{number}/{self.branches}" for number in range(first, first + blocks)]

    def drop(self, blocks: int) -> None:
        """Take the newest away; what is mined then is another branch."""
        self.branches += 1
        del self.hashes[max(1, len(self.hashes) - blocks) :]

    def header(self, number: int) -> EthHeader:
        parent = self.hashes[number - 1] if number else "none"
        return EthHeader(
            number=number,
            hash=self.hashes[number],
            parent=parent,
            time=0.0,
            gas_used=0,
            gas_limit=0,
            base_fee=None,
        )


@dataclass
class Node:
    """A node that is `late` blocks behind its chain."""

    chain: Chain
    name: str = "a"
    late: int = 0
    asked: int = 0

    @property
    def height(self) -> int:
        return max(0, len(self.chain.hashes) - 1 - self.late)

    async def header(self, number: int | None) -> EthHeader | None:
        self.asked += 1
        number = self.height if number is None else number
        return self.chain.header(number) if number <= self.height else None


@dataclass
class Client:
    """Somebody who keeps the chain from the events alone."""

    blocks: dict[int, str | None] = field(default_factory=dict)

    def take(self, events: Sequence[ChainEvent]) -> None:
        for event in events:
            if event.type == "reorg":
                gone = [number for number in self.blocks if number >= event.block_number]
                assert event.depth == len(range(event.block_number, max(self.blocks) + 1))
                assert gone, "a reorganisation of what was never told"
                # The first one that was replaced need not have been told: perhaps it was not among the newest then.
                assert self.blocks.get(event.block_number) != event.block_hash
                for number in gone:
                    del self.blocks[number]
            else:
                assert event.block_number > max(self.blocks, default=-1), "told twice, or out of order"
                self.blocks[event.block_number] = event.block_hash


async def step(view: View | None, *nodes: Node, newest: int = 16) -> tuple[View | None, list[ChainEvent]]:
    """One cycle, as the service makes it."""
    by_name = {node.name: node for node in nodes}
    for name in candidates(view, {node.name: node.height for node in nodes}):
        view, events = await follow("ethereum", view, name, by_name[name].header, newest)
        return view, list(events)
    return view, []


def told(events: Sequence[ChainEvent]) -> list[str | None]:
    return [event.block_hash for event in events if event.type == "new_block"]


async def test_the_first_block_is_the_head() -> None:
    """Without a view, only the head is an event."""
    chain = Chain()
    chain.mine(9)
    view, events = await step(None, Node(chain))
    assert told(events) == ["9/0"]
    assert view == View("a", (Block(9, "9/0"),))


async def test_one_block_costs_one_header() -> None:
    """The head's own parent hash proves that nothing was replaced."""
    chain, node = Chain(), Node(Chain())
    node.chain = chain
    view, _ = await step(None, node)
    chain.mine(1)
    node.asked = 0
    await step(view, node)
    assert node.asked == 1


async def test_a_node_that_is_late_is_no_reorganisation() -> None:
    """While the node that the view is of is away, one that is behind changes nothing."""
    chain = Chain()
    chain.mine(5)
    view, _ = await step(None, Node(chain))
    for late in (0, 1, 3):
        assert await step(view, Node(chain, "b", late=late)) == (view, [])
    chain.mine(2)
    _, events = await step(view, Node(chain, "b"), Node(chain, late=2))
    assert told(events) == ["6/0", "7/0"]


async def test_nodes_that_disagree_about_the_tip() -> None:
    """Another node's block at the same height becomes an event only once a node is ahead with it."""
    ours = Chain()
    ours.mine(5)
    theirs = Chain(list(ours.hashes))
    theirs.drop(1)
    theirs.mine(1)
    view, _ = await step(None, Node(ours))
    assert await step(view, Node(theirs, "b")) == (view, [])
    assert await step(view, Node(ours), Node(theirs, "b")) == (view, [])
    theirs.mine(1)
    view, events = await step(view, Node(ours), Node(theirs, "b"))
    assert [(event.type, event.block_number, event.block_hash, event.depth) for event in events] == [
        ("reorg", 5, "5/1", 1),
        ("new_block", 5, "5/1", None),
        ("new_block", 6, "6/1", None),
    ]
    assert view is not None
    assert view.node == "b"


async def test_after_a_long_absence_only_the_newest_are_told() -> None:
    """A gap is left out; a reorganisation from before it is still found."""
    chain = Chain()
    chain.mine(5)
    view, _ = await step(None, Node(chain))
    chain.drop(1)
    chain.mine(100)
    view, events = await step(view, Node(chain), newest=2)
    assert [(event.type, event.block_number, event.depth) for event in events] == [
        ("reorg", 5, 1),
        ("new_block", 103, None),
        ("new_block", 104, None),
    ]
    chain.mine(10)
    node = Node(chain)
    _, events = await step(view, node, newest=2)
    assert told(events) == ["113/1", "114/1"]
    assert node.asked == 2  # the head, and the block that was told last


async def test_a_reorganisation_deeper_than_the_memory() -> None:
    """The remembered blocks limit the reported depth, and the headers asked for."""
    chain = Chain()
    view: View | None = None
    for _ in range(100):
        chain.mine(1)
        view, _ = await step(view, Node(chain))
    chain.drop(90)
    chain.mine(95)
    node = Node(chain)
    _, events = await step(view, node)
    assert (events[0].type, events[0].depth) == ("reorg", 64)
    assert len(told(events)) == 16
    assert node.asked < 90


async def test_a_chain_that_changes_while_it_is_read() -> None:
    """Headers that are no links of one chain are an error; the view stays as it was."""
    chain = Chain()
    view, _ = await step(None, Node(chain))
    chain.mine(3)
    node = Node(chain)

    async def header(number: int | None) -> EthHeader | None:
        found = await node.header(number)
        if number is None:
            chain.drop(2)
            chain.mine(2)
        return found

    with pytest.raises(ProviderError, match="changed while it was read"):
        await follow("ethereum", view, "a", header, 16)


async def test_a_node_without_blocks() -> None:
    """A head that the node then does not have is an error."""

    async def nothing(number: int | None) -> EthHeader | None:
        return None

    with pytest.raises(ProviderError):
        await follow("ethereum", None, "a", nothing, 16)


def test_a_chain_without_hashes() -> None:
    """Heights alone make one event for whatever was added, and none for a node that is late."""
    view, events = follow_heights("solana", None, {"a": 10})
    assert [(event.block_number, event.block_hash) for event in events] == [(10, None)]
    assert follow_heights("solana", view, {"b": 9}) == (view, ())
    _, events = follow_heights("solana", view, {"a": 9, "b": 60})
    assert [event.block_number for event in events] == [60]


ACTIONS = st.lists(
    st.tuples(st.sampled_from(("mine", "drop", "look", "look at b", "late")), st.integers(min_value=1, max_value=20)),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(actions=ACTIONS, newest=st.sampled_from((2, 16)))
def test_whoever_follows_the_events_has_the_chain(actions: list[tuple[str, int]], newest: int) -> None:
    """With any changes and late nodes, each published block is on the chain as of the last accepted head."""
    chain = Chain()
    first, second = Node(chain), Node(chain, "b")
    client = Client()

    async def run() -> None:
        view: View | None = None
        gone = 0
        for action, count in (*actions, ("mine", 25), ("look", 0)):
            if action == "mine":
                chain.mine(count)
            elif action == "drop":
                if gone + count < 64:  # deeper ones are told with the depth that is remembered
                    gone += count
                    chain.drop(count)
            elif action == "late":
                second.late = count % 4
            else:
                nodes = (first, second) if action == "look" else (second,)
                before = view
                view, events = await step(view, *nodes, newest=newest)
                client.take(events)
                assert view is not None
                assert max(client.blocks) == view.last.number
                if view != before:
                    known = {block.number: block.hash for block in view.blocks}
                    assert all(chain.hashes[number] == block for number, block in known.items())
        # In the end the chain is longer than anything before, so that the last look settles all of it.
        if len(chain.hashes) - 1 == max(client.blocks):
            assert all(chain.hashes[number] == block for number, block in client.blocks.items())

    asyncio.run(run())
