"""RpcNodesService against the simulator: a row for each node, whatever it does, and events of each chain."""

from __future__ import annotations

import json

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from shared.errors import NoSourceError, SettingsError
from shared.payloads import RpcNodes
from shared.payloads.rpc_nodes import ChainEvent, RpcNode
from simulator.faults import Fault, FaultName
from simulator.world.ethereum import Ethereum
from tests.workers.nodes import FakeNode, serving
from tests.workers.stage import FAULTS, Stage, host_of
from workers.services.rpc_nodes.nodes import DEFAULT_NODES

PUBLICNODE, DRPC = "ethereum-rpc.publicnode.com", "eth.drpc.org"
HOSTS = [host_of(node.url) for node in DEFAULT_NODES]
TWO = f"ethereum/one=https://{PUBLICNODE},ethereum/two=https://{DRPC}"


async def collect(stage: Stage, later: float = 0.0, deadline: float = 10.0, nodes: str | None = None) -> RpcNodes:
    """One cycle of rpc_nodes."""
    if not hasattr(stage, "service"):
        stage.open("rpc_nodes", **({"rpc_nodes": SecretStr(nodes)} if nodes is not None else {}))
    data: RpcNodes = await stage.collect(later, deadline)
    return data


def row(data: RpcNodes, label: str) -> RpcNode:
    (found,) = (row for row in data.nodes if row.name == f"{label} (simulated)")
    return found


def of(data: RpcNodes, chain: str) -> list[ChainEvent]:
    return [event for event in data.events if event.chain == chain]


async def test_every_node_has_a_row(stage: Stage) -> None:
    """All nodes answer: active or lagging, with height, lag, gas price and time; and are said to be simulated."""
    data = await collect(stage)
    assert [row.name for row in data.nodes] == [f"{node.label} (simulated)" for node in DEFAULT_NODES]
    assert data.total_nodes == data.active_nodes == len(DEFAULT_NODES)
    for row in data.nodes:
        assert (row.status, row.error) == ("active", None)
        assert row.block_number is not None
        assert row.block_lag is not None
        assert 0 <= row.block_lag <= 1
        assert (row.gas_price_gwei is None) is (row.chain == "solana")
        assert row.response_time_ms is not None
        assert row.response_time_ms > 0
    times = [row.response_time_ms for row in data.nodes if row.response_time_ms is not None]
    assert data.average_latency == pytest.approx(sum(times) / len(times), abs=0.1)


async def test_the_figures_are_the_chains(stage: Stage) -> None:
    """Height, hash and gas price are those of the simulated chain."""
    chain, clock = Ethereum(stage.simulator.market), stage.simulator.clock
    first = chain.height(clock.now()) - 1  # nodes may be a block late
    data = await collect(stage)
    heights = range(first, chain.height(clock.now()) + 1)
    rows = [row for row in data.nodes if row.chain == "ethereum"]
    assert {row.block_number for row in rows} <= set(heights)
    assert {row.gas_price_gwei for row in rows} <= {chain.gas_price(chain.time_of(n)) / 1e9 for n in heights}
    (event,) = of(data, "ethereum")
    assert event.type == "new_block"
    assert event.block_number in heights
    assert event.block_hash == chain.hash_of(event.block_number)


async def test_every_block_is_told_once_and_no_reorganisation(stage: Stage) -> None:
    """Nodes are a block late now and then; still each block of Ethereum is told once, in order, and none replaced."""
    chain = Ethereum(stage.simulator.market)
    told: list[ChainEvent] = []
    for _ in range(30):
        data = await collect(stage, 20, nodes=TWO)
        assert all(row.status == "active" for row in data.nodes)
        told += data.events
    numbers = [event.block_number for event in told]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) >= 47
    assert {event.type for event in told} == {"new_block"}
    assert all(event.block_hash == chain.hash_of(event.block_number) for event in told)


async def test_fast_chains_tell_their_newest_blocks(stage: Stage) -> None:
    """A chain with a block every other second publishes two of ten per update; Solana only its height."""
    await collect(stage)
    data = await collect(stage, 20)
    for chain in ("bsc", "polygon", "base", "optimism"):
        events = of(data, chain)
        best = max(row.block_number or 0 for row in data.nodes if row.chain == chain)
        one, two = (event.block_number for event in events)
        assert one + 1 == two
        assert two >= best  # the chain goes on while it is read
        assert all(event.type == "new_block" and event.block_hash is not None for event in events)
    (event,) = of(data, "solana")
    assert event.block_hash is None


async def test_after_a_long_absence_the_newest_are_told(stage: Stage) -> None:
    """An hour later there is no flood: the 16 newest blocks of Ethereum."""
    await collect(stage, nodes=TWO)
    data = await collect(stage, 3600)
    numbers = [event.block_number for event in data.events]
    assert len(numbers) == 16
    assert numbers[-1] >= max(row.block_number or 0 for row in data.nodes)


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_is_a_row(stage: Stage, fault: FaultName) -> None:
    """With any fault of one node, its row has the error, the other's is fine, and blocks are published."""
    await collect(stage, nodes=TWO)
    stage.spoil(PUBLICNODE, fault=fault)
    data = await collect(stage, 40)
    spoilt, fine = row(data, "ethereum/one"), row(data, "ethereum/two")
    assert spoilt.status == "down"
    assert spoilt.error
    assert (spoilt.block_number, spoilt.block_lag, spoilt.gas_price_gwei) == (None, None, None)
    assert spoilt.response_time_ms is None
    assert (fine.status, fine.block_lag, fine.error) == ("active", 0, None)
    assert (data.active_nodes, data.total_nodes) == (1, 2)
    assert data.average_latency == fine.response_time_ms
    assert len(data.events) >= 2
    stage.heal(PUBLICNODE)
    assert row(await collect(stage, 40), "ethereum/one").status == "active"


async def test_a_node_that_asked_for_a_pause_is_left_alone(stage: Stage) -> None:
    """After a 429 with Retry-After the node is not asked, and its row goes on to say why."""
    await collect(stage, nodes=TWO)
    stage.spoil(PUBLICNODE, fault="429")
    await collect(stage)
    asked = sum(stage.simulator.tally.by_host()[PUBLICNODE].values())
    data = await collect(stage)
    assert sum(stage.simulator.tally.by_host()[PUBLICNODE].values()) == asked
    assert row(data, "ethereum/one").error == "HTTP 429"


@pytest.mark.slow
async def test_a_hanging_node_does_not_hold_up_the_others(stage: Stage) -> None:
    """A node that never answers is down after its share of the cycle."""
    await collect(stage, nodes=TWO)
    stage.spoil(PUBLICNODE, fault="hang")
    data = await collect(stage, 20, deadline=4.0)
    assert row(data, "ethereum/one").error == "no answer within 2.4 s"
    assert row(data, "ethereum/two").status == "active"
    assert data.events


@pytest.mark.slow
async def test_the_time_of_an_answer_is_measured(stage: Stage) -> None:
    """A slow node's row has the time that its one answer took, in milliseconds."""
    await collect(stage, nodes=TWO)
    stage.simulator.faults.set(Fault(host=PUBLICNODE, fault="slow", seconds=1.0))
    data = await collect(stage, 20)
    slow, fast = row(data, "ethereum/one").response_time_ms, row(data, "ethereum/two").response_time_ms
    assert slow is not None
    assert fast is not None
    assert slow >= 1000
    assert fast < slow
    assert data.average_latency == pytest.approx((slow + fast) / 2, abs=0.1)


async def test_without_any_node_nothing_is_published(stage: Stage) -> None:
    """All down: NoSourceError with each node's error; afterwards the missed blocks are published."""
    before = await collect(stage)
    stage.spoil(*HOSTS)
    with pytest.raises(NoSourceError) as caught:
        await collect(stage, 20)
    assert {error.provider for error in caught.value.errors} == {node.label for node in DEFAULT_NODES}
    stage.heal(*HOSTS)
    after = await collect(stage, 20)
    assert after.active_nodes == len(DEFAULT_NODES)
    first = of(before, "ethereum")[0].block_number
    assert next(event.block_number for event in of(after, "ethereum")) == first + 1


async def test_a_chain_without_nodes_leaves_the_others(stage: Stage) -> None:
    """If all nodes of one chain are down, the other chains are published as before."""
    stage.spoil("mainnet.base.org", "base-rpc.publicnode.com")
    data = await collect(stage)
    assert {row.status for row in data.nodes if row.chain == "base"} == {"down"}
    assert not of(data, "base")
    assert of(data, "optimism")


async def test_a_node_on_another_chain_is_down(stage: Stage) -> None:
    """An address that answers for another chain is rejected, and the error names that chain."""
    data = await collect(stage, nodes=f"ethereum/wrong=https://bsc-rpc.publicnode.com,ethereum/right=https://{DRPC}")
    wrong, right = row(data, "ethereum/wrong"), row(data, "ethereum/right")
    assert (wrong.status, wrong.error, wrong.block_number) == ("down", "on chain 56 instead of 1", None)
    assert (right.status, right.block_lag) == ("active", 0)


async def test_the_chain_is_verified_once_an_hour(stage: Stage) -> None:
    """Newest block and gas price are asked for in each cycle, the chain's id in the first and after an hour."""
    one = f"ethereum/one=https://{PUBLICNODE}"
    stage.spoil(PUBLICNODE, fault="500")
    with pytest.raises(NoSourceError):
        await collect(stage, nodes=one)
    stage.heal(PUBLICNODE)
    calls = []
    for later in (0, 1, 1, 3600, 1):
        stage.asked.clear()
        data = await collect(stage, later)
        # Each new block but the newest, which is known, costs a header; but for gaps.
        calls.append(stage.asked["ethereum/one"] - max(0, len(data.events) - 1))
    assert calls == [3, 2, 2, 3, 2]


@pytest.mark.parametrize(("behind", "status"), [(0, "active"), (2, "active"), (3, "lagging"), (9, "lagging")])
async def test_lagging(stage: Stage, behind: int, status: str) -> None:
    """A node that is 36 s of blocks behind the best of its chain is lagging and not active; the best never is."""
    best, late = FakeNode("test", 500, stage.now), FakeNode("test", 500 - behind, stage.now - 12 * behind)
    async with serving(best, late) as nodes:
        data = await collect(stage, nodes=nodes)
    assert [(row.name, row.status, row.block_number, row.block_lag) for row in data.nodes] == [
        ("test/n0", "active", 500, 0),
        ("test/n1", status, 500 - behind, behind),
    ]
    assert data.active_nodes == (2 if status == "active" else 1)


async def test_a_restart_neither_loses_nor_doubles(stage: Stage) -> None:
    """A new worker with the cursor of the last update goes on with the next block; without one, with the head."""
    await collect(stage, nodes=TWO)
    last = (await collect(stage, 40)).events[-1].block_number
    cursor = stage.service.cursor  # type: ignore[attr-defined]
    settings = {"rpc_nodes": SecretStr(TWO)}
    stage.open("rpc_nodes", **settings).resume(cursor)
    events = (await collect(stage, 48)).events
    assert [event.block_number for event in events] == list(range(last + 1, last + 1 + len(events)))
    assert len(events) in (3, 4, 5)
    stage.open("rpc_nodes", **settings).resume(None)
    assert len((await collect(stage)).events) == 1


@pytest.mark.parametrize("cursor", [b"", b"\xc1", b"\x81\xa8ethereum\x01"])
async def test_a_cursor_of_another_version(stage: Stage, cursor: bytes) -> None:
    """A stored cursor that can't be read is no reason to stop: each chain begins with its head."""
    stage.open("rpc_nodes", rpc_nodes=SecretStr(TWO)).resume(cursor)
    assert len((await collect(stage)).events) == 1


async def test_a_key_is_told_nowhere(stage: Stage) -> None:
    """A node's path and query are sent with each call, and are in no row, error or log line."""
    key = "0123456789abcdef0123456789abcdef"
    with capture_logs() as logs:
        data = await collect(stage, nodes=f"{TWO},ethereum/mine=https://rpc.mevblocker.io/v3/{key}?token={key}")
        stage.spoil("rpc.mevblocker.io")
        await collect(stage, 20)
    assert stage.simulator.tally.by_host()["rpc.mevblocker.io"] == {f"/v3/{key}": 2}
    mine = row(data, "ethereum/mine")
    assert (mine.status, mine.error) == ("down", "HTTP 404")
    assert key not in json.dumps([str(data), str(logs), stage.service.cursor.hex()])  # type: ignore[attr-defined]


async def test_changes_of_state_are_logged_once(stage: Stage) -> None:
    """A node that stays down is logged when it goes and when it comes back, not in each cycle."""
    await collect(stage, nodes=TWO)
    stage.spoil(PUBLICNODE)
    with capture_logs() as logs:
        for _ in range(4):
            await collect(stage, 20)
        stage.heal(PUBLICNODE)
        await collect(stage, 20)
    said = [line["event"] for line in logs if "ethereum/one" in line["event"]]
    assert said == ["ethereum/one down: HTTP 500, next try in 5 s", "ethereum/one back after 80 s"]


def test_a_wrong_setting_stops_the_worker(stage: Stage) -> None:
    """RPC_NODES that can't be used is a SettingsError when the service is made."""
    with pytest.raises(SettingsError):
        stage.open("rpc_nodes", rpc_nodes=SecretStr("nonsense"))
