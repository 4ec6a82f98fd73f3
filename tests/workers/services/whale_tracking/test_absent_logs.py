"""Nodes that lack what they are asked for and answer as if there were nothing, as whale_tracking meets them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from shared.errors import NoSourceError
from simulator.faults import FaultName
from tests.workers.services.test_cursor_gaps import Node, pool_of
from tests.workers.services.whale_tracking.test_whale_tracking import (
    NODES,
    collect,
    ethereum_whales,
    follow,
    keys,
    open_service,
    safe,
)
from tests.workers.stage import Stage
from workers.answers import BlockReceipts, EthBlock, EthHeader
from workers.asking.jsonrpc import RpcError
from workers.services.whale_tracking.ethereum import PRICES, EthereumScan
from workers.services.whale_tracking.trail import Trail

ABSENT: tuple[FaultName, ...] = ("no_logs", "no_rows")
"""Blocks whose logs are not there; and blocks without transactions too."""


@pytest.mark.parametrize("fault", ABSENT)
async def test_a_node_that_lacks_a_block_costs_no_transfer(stage: Stage, fault: FaultName) -> None:
    """Its empty answers are refused, the next node is asked, and every transfer is published once."""
    open_service(stage)
    updates = [await collect(stage)]
    first = safe(stage) + 1
    stage.spoil(NODES[0], fault=fault)
    updates += await follow(stage, 4)
    assert "ethereum/drpc (simulated)" in updates[-1].sources
    stage.heal(NODES[0])
    updates += await follow(stage, 1)
    entries = [key for data in updates for key in keys(data, "ethereum")]
    assert len(entries) == len(set(entries))
    wanted = ethereum_whales(stage, first, safe(stage) - 1)
    assert wanted
    assert wanted <= {tx for tx, *_ in entries}


@pytest.mark.parametrize("fault", ABSENT)
async def test_no_node_that_has_the_blocks_lets_them_wait(stage: Stage, fault: FaultName) -> None:
    """The trail stays where it is, nothing is published of the chain, and nothing is missing afterwards."""
    open_service(stage)
    await collect(stage)
    first = safe(stage) + 1
    stage.spoil(*NODES, fault=fault)
    down = await follow(stage, 3)
    assert not any(keys(data, "ethereum") for data in down)
    assert not any(source.startswith("ethereum") for source in down[-1].sources)
    stage.heal(*NODES)
    back = [await collect(stage, 300), *(await follow(stage, 1))]
    wanted = ethereum_whales(stage, first, safe(stage) - 1)
    assert wanted
    assert wanted <= {tx for data in back for tx, *_ in keys(data, "ethereum")}


class Lacking(Node):
    """A node whose blooms seem to hold everything, with no logs; `answer` is what it says of receipts."""

    def __init__(self, name: str, answer: BlockReceipts | RpcError | None) -> None:
        super().__init__(name, head=100)
        self.answer = answer
        self.nulls = 0
        """How many of the next blocks it lacks."""

    def _of(self, number: int) -> EthHeader:
        return replace(super()._of(number), gas_used=21_000, bloom="0x" + "f" * 512)

    async def block(self, ask: Any, number: int) -> EthBlock | None:
        return None if number > self.head - self.nulls - 2 else await super().block(ask, number)

    async def receipts(self, ask: Any, number: int) -> BlockReceipts | None:
        if isinstance(self.answer, RpcError):
            raise self.answer
        if self.answer is None:
            return None
        return replace(self.answer, block_hashes=frozenset([f"h{number}"]))


class Trailing:
    """A scan of nodes, cycle by cycle."""

    def __init__(self, *nodes: Lacking) -> None:
        self.now, self.nodes = 0.0, nodes
        self.trail: Trail | None = None
        self.scan = EthereumScan(pool_of(*nodes, clock=lambda: self.now), 1e6)

    async def scanned(self) -> int:
        """How many blocks the next cycle scans, of one new one or those that waited."""
        self.now += 400  # no node is still cooling down
        for node in self.nodes:
            node.head += 1
        before = self.trail.next if self.trail is not None else None
        found = await self.scan.scan(self.trail, dict.fromkeys(PRICES, 1.0), 1000.0, 4.0)
        self.trail = found.trail
        return found.trail.next - before if before is not None and found.trail is not None else 1


RECEIPTS = BlockReceipts(count=1, block_hashes=frozenset(), logs=())
NO_METHOD = RpcError("a", -32601, "the method eth_getBlockReceipts does not exist")


async def test_a_bloom_that_is_full_does_not_stop_the_trail() -> None:
    """Bits that are set by chance are no logs: receipts without any prove that there are none."""
    trailing = Trailing(Lacking("a", RECEIPTS))
    assert [await trailing.scanned() for _ in range(4)] == [1, 1, 1, 1]


async def test_two_nodes_that_agree_do_not_stop_the_trail() -> None:
    """Where no node has receipts, the second with no logs of the same block proves it; a single one does not."""
    trailing = Trailing(Lacking("a", NO_METHOD), Lacking("b", NO_METHOD))
    assert [await trailing.scanned() for _ in range(4)] == [1, 1, 1, 1]
    for answer in (NO_METHOD, None):
        alone = Trailing(Lacking("a", RECEIPTS))
        await alone.scanned()
        alone.nodes[0].answer = answer
        for _ in range(3):
            with pytest.raises(NoSourceError, match="which may have some"):
                await alone.scanned()
        alone.nodes[0].answer = RECEIPTS
        assert await alone.scanned() == 4


async def test_a_block_that_is_null_is_asked_of_the_next_node() -> None:
    """A node that has newer blocks and not this one is not believed that there is none; nor is it at fault."""
    first, second = Lacking("a", RECEIPTS), Lacking("b", RECEIPTS)
    trailing = Trailing(first, second)
    await trailing.scanned()
    first.nulls = 3
    assert [await trailing.scanned() for _ in range(3)] == [1, 1, 1]
    assert first.name in trailing.scan.pool.available
    second.nulls = 3
    assert [await trailing.scanned() for _ in range(2)] == [0, 0]
    first.nulls = 0
    assert await trailing.scanned() == 3
