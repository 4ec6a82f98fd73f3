"""Nodes that lack what they are asked for and answer as if there were nothing, as whale_tracking meets them."""

from __future__ import annotations

import pytest

from simulator.faults import FaultName
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
