"""Solana's activity and fees in onchain: from a node that is up to date, null where there is none."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from shared.payloads import Onchain
from simulator.faults import FaultName
from tests.workers.services.onchain.test_onchain import SOLANA_NODES
from tests.workers.stage import FAULTS, Stage

FIRST, SECOND = "solana/solana (simulated)", "solana/publicnode (simulated)"


async def collect(stage: Stage, later: float = 0.0) -> Onchain:
    if not hasattr(stage, "service"):
        stage.open("onchain")
    data = await stage.collect(later, 24.0)
    assert isinstance(data, Onchain)
    return data


async def test_activity_and_fees(stage: Stage) -> None:
    """Transactions per second without votes, and the fee per compute unit; other chains have neither."""
    data = await collect(stage)
    solana = data.chains["solana"]
    assert solana.transactions_per_second == pytest.approx(70_000 / 60, rel=0.31)
    assert solana.priority_fee is not None
    assert 0 <= solana.priority_fee <= 20_000
    assert FIRST in data.sources
    others = [chain for name, chain in data.chains.items() if name != "solana"]
    assert {(chain.transactions_per_second, chain.priority_fee) for chain in others} == {(None, None)}


async def test_it_is_asked_twice_a_minute_at_most(stage: Stage) -> None:
    """Five calls in 60 s of a node, and one that verifies its chain."""
    for later in (0, 30, 30, 30):
        await collect(stage, later)
    assert stage.asked["solana/solana"] == 1 + 2 * 5
    assert stage.asked["solana/publicnode"] == 0


@pytest.mark.parametrize("fault", [*FAULTS, "stuck", "far_ahead"])
async def test_every_fault_fails_over(stage: Stage, fault: FaultName) -> None:
    """Whatever is wrong with the first node, the second gives the figures in the same cycle."""
    stage.spoil(SOLANA_NODES[0], fault=fault)
    data = await collect(stage)
    if fault == "stuck":  # since its first request
        data = await collect(stage, 600)
    assert SECOND in data.sources
    assert FIRST not in data.sources
    assert data.chains["solana"].transactions_per_second is not None


async def test_without_a_node_the_figures_are_null(stage: Stage) -> None:
    """They are published for five minutes, then null; the chain's other figures stay."""
    await collect(stage)
    stage.spoil(*SOLANA_NODES)
    assert (await collect(stage, 240)).chains["solana"].priority_fee is not None
    solana = (await collect(stage, 120)).chains["solana"]
    assert (solana.transactions_per_second, solana.priority_fee) == (None, None)
    assert solana.total_value_locked is not None


async def test_a_node_of_another_cluster(stage: Stage) -> None:
    """A node whose first block is another one is not believed."""
    stage.open("onchain", rpc_nodes=SecretStr("solana/other=https://ethereum-rpc.publicnode.com"))
    data = await collect(stage)
    assert data.chains["solana"].transactions_per_second is None


async def test_solana_is_listed_though_nothing_else_is_known(stage: Stage) -> None:
    """Without the list of chains by value, Solana has its entry all the same."""
    stage.spoil("api.llama.fi")
    data = await collect(stage)
    assert list(data.chains) == ["bitcoin", "ethereum", "solana"]
