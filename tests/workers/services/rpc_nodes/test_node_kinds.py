"""rpc_nodes over nodes of every chain that are stuck, syncing, far ahead or behind, elsewhere, or without a time.

The same table for every chain: what is published never depends on the wrong node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from shared.payloads import RpcNodes
from shared.payloads.rpc_nodes import RpcNode
from tests.workers.nodes import FakeNode, serving
from tests.workers.stage import NOON, Stage
from workers.services.rpc_nodes.chains import CHAINS, chain_of

pytestmark = pytest.mark.slow  # 49 times the service, over nodes of its own

DAY = 86_400.0
FAR = 40_000_000
NAMES = [*CHAINS, "gnosis"]

Spoil = Callable[[FakeNode], None]


def good(chain: str, now: float = NOON) -> FakeNode:
    """A node that is up to date, at a height that the chain may have."""
    known = chain_of(chain).known or (30_000_000, now)
    height = known[0] + round((now - known[1]) / chain_of(chain).block_time / 2)
    return FakeNode(chain, height, now - 1)


def stuck(node: FakeNode) -> None:
    node.time = NOON - DAY


def syncing(node: FakeNode) -> None:
    node.height, node.time = 0, 0.0


def future(node: FakeNode) -> None:
    node.time = NOON + 3 * 3600


def milliseconds(node: FakeNode) -> None:
    node.time = NOON * 1000


def timeless(node: FakeNode) -> None:
    node.time = None


def behind(node: FakeNode) -> None:
    node.height -= round(DAY / node.constants.block_time)
    node.time = NOON - DAY


def behind_with_a_recent_time(node: FakeNode) -> None:
    node.height -= 10_000_000


def ahead(node: FakeNode) -> None:
    node.height += FAR


def ahead_without_a_time(node: FakeNode) -> None:
    node.height, node.time = node.height + FAR, None


def a_little_ahead(node: FakeNode) -> None:
    node.height += node.constants.lag_limit + 2


def other_chain(node: FakeNode) -> None:
    node.identity = "1" * 44 if node.chain == "solana" else 4242


def without_blocks(node: FakeNode) -> None:
    node.refuses = frozenset({"eth_getBlockByNumber", "getBlockTime"})


def without_anything(node: FakeNode) -> None:
    node.refuses = frozenset({"eth_getBlockByNumber", "eth_blockNumber", "getBlockHeight", "getSlot"})


# What a node alone on its chain is; what one of two is after an update with both well; what one of three is at once.
KINDS: dict[Spoil, tuple[str, str, str]] = {
    stuck: ("lagging", "lagging", "lagging"),
    syncing: ("lagging", "lagging", "lagging"),
    future: ("down", "down", "down"),
    milliseconds: ("down", "down", "down"),
    timeless: ("lagging", "active", "active"),
    behind: ("lagging", "lagging", "lagging"),
    behind_with_a_recent_time: ("active", "lagging", "lagging"),
    ahead: ("active", "down", "down"),
    ahead_without_a_time: ("lagging", "down", "down"),
    a_little_ahead: ("active", "down", "down"),
    other_chain: ("down", "down", "down"),
    without_blocks: ("lagging", "active", "active"),
    without_anything: ("down", "down", "down"),
}


def name_of(case: object) -> str:
    return case.__name__ if callable(case) else str(case)


async def collect(stage: Stage, later: float = 0.0) -> RpcNodes:
    data = await stage.collect(later, deadline=10.0)
    assert isinstance(data, RpcNodes)
    return data


def row_of(data: RpcNodes, node: FakeNode, nodes: Sequence[FakeNode]) -> RpcNode:
    return data.nodes[nodes.index(node)]


def blocks_of(data: RpcNodes, chain: str) -> list[int]:
    return [event.block_number for event in data.events if event.chain == chain]


def check_well(data: RpcNodes, node: FakeNode, nodes: Sequence[FakeNode]) -> None:
    """A well node is active, with its height, and of its chain only its block is published."""
    row = row_of(data, node, nodes)
    assert (row.status, row.block_number, row.block_lag, row.error) == ("active", node.height, 0, None), node.chain
    assert set(blocks_of(data, node.chain)) <= {node.height}


def is_unseen(spoil: Spoil, chain: str) -> bool:
    """Whether nothing is wrong: nobody checks the id of an unknown chain."""
    return spoil is other_chain and chain == "gnosis"


@pytest.mark.parametrize("spoil", KINDS, ids=name_of)
async def test_a_node_alone(stage: Stage, spoil: Spoil) -> None:
    """Without siblings, the time of the newest block and the highest possible height decide."""
    nodes = [good(chain) for chain in NAMES]
    async with serving(*nodes, well := good("unknown")) as addresses:
        for node in nodes:
            spoil(node)
        stage.open("rpc_nodes", rpc_nodes=SecretStr(addresses))
        data = await collect(stage)
    for node in nodes:
        impossible = node.height > node.constants.ceiling(NOON)
        expected = "active" if is_unseen(spoil, node.chain) else "down" if impossible else KINDS[spoil][0]
        row = row_of(data, node, nodes)
        assert row.status == expected, node.chain
        assert (row.error is None) is (expected == "active"), node.chain
        assert row.block_number == (None if expected == "down" else node.height), node.chain
        assert (row.block_lag == 0) is (expected == "active"), node.chain
        assert bool(blocks_of(data, node.chain)) is (expected == "active"), node.chain
    check_well(data, well, [*nodes, well])


@pytest.mark.parametrize("spoil", KINDS, ids=name_of)
async def test_one_of_two(stage: Stage, spoil: Spoil) -> None:
    """Of two nodes, what was published before decides, where the times of their blocks don't."""
    wrong, right = [good(chain) for chain in NAMES], [good(chain) for chain in NAMES]
    nodes = [*wrong, *right]
    async with serving(*nodes) as addresses:
        service = stage.open("rpc_nodes", rpc_nodes=SecretStr(addresses))
        data = await collect(stage)
        for node in nodes:
            check_well(data, node, nodes)
        for node in wrong:
            spoil(node)
        service._verified.clear()
        data = await collect(stage)
    for node in wrong:
        assert is_unseen(spoil, node.chain) or row_of(data, node, nodes).status == KINDS[spoil][1], node.chain
    for node in right:
        check_well(data, node, nodes)


@pytest.mark.parametrize("spoil", KINDS, ids=name_of)
async def test_one_of_three(stage: Stage, spoil: Spoil) -> None:
    """Of three nodes, two that agree are believed, though nothing was published before."""
    wrong, right, also = ([good(chain) for chain in NAMES] for _ in range(3))
    nodes = [*wrong, *right, *also]
    async with serving(*nodes) as addresses:
        for node in wrong:
            spoil(node)
        stage.open("rpc_nodes", rpc_nodes=SecretStr(addresses))
        data = await collect(stage)
    for node in wrong:
        assert is_unseen(spoil, node.chain) or row_of(data, node, nodes).status == KINDS[spoil][2], node.chain
    for node in (*right, *also):
        check_well(data, node, nodes)
        assert blocks_of(data, node.chain) == [node.height]


async def test_one_of_two_is_far_ahead_from_the_start(stage: Stage) -> None:
    """With nothing published before, of two nodes more than an hour of blocks apart the lower is believed."""
    wrong, right = [good(chain) for chain in NAMES], [good(chain) for chain in NAMES]
    nodes = [*wrong, *right]
    async with serving(*nodes) as addresses:
        for node in wrong:
            ahead(node)
        stage.open("rpc_nodes", rpc_nodes=SecretStr(addresses))
        data = await collect(stage)
    for node in wrong:
        row = row_of(data, node, nodes)
        assert (row.status, row.error) == ("down", f"block {node.height} is {FAR} above the chain's"), node.chain
    for node in right:
        check_well(data, node, nodes)


@pytest.mark.parametrize("spoil", [stuck, syncing, future], ids=name_of)
async def test_all_of_a_chain(stage: Stage, spoil: Spoil) -> None:
    """A chain that stands still is not active though its nodes agree, and none of its blocks are published."""
    nodes = [good(chain) for chain in NAMES for _ in range(3)]
    async with serving(*nodes) as addresses:
        stage.open("rpc_nodes", rpc_nodes=SecretStr(addresses))
        await collect(stage)
        for node in nodes:
            spoil(node)
        data = await collect(stage)
        assert {row.status for row in data.nodes} == {KINDS[spoil][0]}
        assert (data.active_nodes, data.events) == (0, [])
        for node in nodes:
            node.height, node.time = good(node.chain).height + 1, NOON + 19
        data = await collect(stage, 20)
    assert data.active_nodes == len(nodes)
    assert {chain: blocks_of(data, chain) for chain in NAMES} == {chain: [good(chain).height + 1] for chain in NAMES}


@pytest.mark.parametrize("chain", ["ethereum", "solana"])
async def test_a_jump_of_the_only_node_is_not_believed(stage: Stage, chain: str) -> None:
    """A chain can't rise faster than its block time: a height far above is believed after ten minutes, if it stays."""
    node = good(chain)
    height = node.height
    async with serving(node) as nodes:
        stage.open("rpc_nodes", rpc_nodes=SecretStr(nodes))
        await collect(stage)
        node.height = height + (jump := round(DAY / node.constants.block_time))
        node.time = NOON + 20
        data = await collect(stage, 20)
        assert (data.nodes[0].status, data.events) == ("down", [])
        assert data.nodes[0].error == f"block {height + jump} is {jump} above the one before"
        stage.service.resume(cursor := stage.service.cursor)  # type: ignore[attr-defined]
        assert cursor
        node.height, node.time = height + 1, NOON + 40
        data = await collect(stage, 20)
        assert [event.block_number for event in data.events] == [height + 1]
        for _ in range(2):
            node.height, node.time = height + jump, stage.now + 620
            data = await collect(stage, 620)
    assert data.nodes[0].status == "active"
    assert data.events[-1].block_number == height + jump


async def test_a_wrong_height_that_was_published_is_corrected_at_once(stage: Stage) -> None:
    """A wrong height that one node gave first does not stand against right ones, and its blocks are dropped."""
    node = good("gnosis")
    height = node.height
    ahead(node)
    async with serving(node) as nodes:
        stage.open("rpc_nodes", rpc_nodes=SecretStr(nodes))
        assert [event.block_number for event in (await collect(stage)).events] == [height + FAR]
        node.height, node.time = height, NOON + 19
        data = await collect(stage, 20)
    assert (data.nodes[0].status, data.nodes[0].block_lag) == ("active", 0)
    assert [event.block_number for event in data.events] == [height]


async def test_what_is_set_aside_is_logged_once(stage: Stage) -> None:
    """A stuck node is named in the log when it is set aside and when it is believed again, not in each cycle."""
    node, other = good("ethereum"), good("ethereum")
    stuck(other)
    async with serving(other, node) as nodes:
        stage.open("rpc_nodes", rpc_nodes=SecretStr(nodes))
        with capture_logs() as logs:
            for _ in range(3):
                await collect(stage)
            other.time = node.time
            await collect(stage)
    said = [(line["event"], line["node"]) for line in logs if "node" in line]
    assert said == [("node set aside", "ethereum/n0"), ("node believed again", "ethereum/n0")]
    assert logs[0]["reason"] == "its newest block is 24 h old"


async def test_a_height_alone_is_no_proof(stage: Stage) -> None:
    """A node that refuses blocks is asked for its height, and passes for what was proven before for two minutes."""
    node = good("ethereum")
    async with serving(node) as nodes:
        stage.open("rpc_nodes", rpc_nodes=SecretStr(nodes))
        await collect(stage)
        without_blocks(node)
        assert [(await collect(stage, 60)).nodes[0].status for _ in range(3)] == ["active", "active", "lagging"]
    assert node.asked[-3:] == ["eth_getBlockByNumber", "eth_blockNumber", "eth_gasPrice"]


async def test_the_cost_of_knowing_the_time(stage: Stage) -> None:
    """The newest header replaces the question for the height: no more calls than two per cycle and node."""
    node = good("ethereum")
    async with serving(node) as nodes:
        stage.open("rpc_nodes", rpc_nodes=SecretStr(nodes))
        await collect(stage)
    assert node.asked == ["eth_chainId", "eth_getBlockByNumber", "eth_gasPrice"]
