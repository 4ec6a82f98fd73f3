"""The contract events of onchain against the simulator: each once, none left out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared.errors import NoSourceError
from shared.payloads import Onchain
from simulator.world.contracts import EVENTS
from simulator.world.ethereum import Ethereum
from tests.workers.services.onchain.test_onchain import NODE_NAMES, NODES, collect
from tests.workers.stage import FAULTS, Stage
from workers.services.onchain.contract_events import ContractEvents
from workers.services.onchain.contracts import NAMES
from workers.services.onchain.service import OnchainService
from workers.services.rpc_nodes.nodes import ethereum_pool

pytestmark = pytest.mark.slow

Told = tuple[int, str, str, str]


def told(data: Onchain) -> list[Told]:
    """The events of an update."""
    assert all(event.chain == "ethereum" for event in data.contract_events)
    return [(e.block_number, e.transaction_hash, e.contract, e.event) for e in data.contract_events]


def happened(stage: Stage, first: int, end: int) -> list[Told]:
    """What the simulated contracts logged in blocks from `first` up to before `end`."""
    chain = Ethereum(stage.simulator.market)
    return [
        (number, log["transactionHash"], log["address"], NAMES[log["address"], log["topics"][0]])
        for number in range(first, end)
        for log in chain.logs(number)
        if (log["address"], log["topics"][0]) in NAMES
    ]


def open_service(stage: Stage, cursor: bytes | None = None) -> OnchainService:
    """The service, gone on from `cursor`."""
    service: OnchainService = stage.open("onchain")
    service.resume(cursor)
    return service


def next_block(service: OnchainService) -> int:
    """Where its next reading begins: at the beginning of a block."""
    block, index = msgspec.msgpack.decode(service.cursor)
    assert index == 0
    return int(block)


def test_the_simulator_has_every_event_of_the_table() -> None:
    """What is asked for happens in the simulated blocks."""
    assert {(event.contract, event.topic) for event in EVENTS} == set(NAMES)


async def test_it_begins_two_blocks_below_the_newest(stage: Stage) -> None:
    """Without a cursor only the newest settled block is read."""
    service = open_service(stage)
    assert service.cursor == b""
    data = await collect(stage)
    height = Ethereum(stage.simulator.market).height(stage.simulator.clock.now())
    end = next_block(service)
    assert height - 2 <= end <= height - 1  # a node may be a block late
    assert told(data) == happened(stage, end - 1, end)


async def test_each_event_is_told_once(stage: Stage) -> None:
    """Over half an hour of cycles every event is published once, in the chain's order, by a labelled source."""
    service = open_service(stage)
    events = told(await collect(stage))
    first = next_block(service) - 1
    for _ in range(60):
        data = await collect(stage, 30)
        events += told(data)
        assert f"{NODE_NAMES[0]} (simulated)" in data.sources
    assert events == happened(stage, first, next_block(service))
    assert next_block(service) - first in range(148, 153)
    assert len(events) > 20


@pytest.mark.slow
async def test_a_successor_goes_on_where_the_last_update_ended(stage: Stage) -> None:
    """From the stored cursor a new worker publishes later events once; unpublished ones again."""
    service = open_service(stage)
    events = told(await collect(stage))
    first, cursor = next_block(service) - 1, service.cursor
    for later in (30, 45, 15, 100, 5) * 4:
        lost = told(await collect(stage, later))  # collected, but its publish failed
        service = open_service(stage, cursor)
        data = await collect(stage, 12)
        assert told(data)[: len(lost)] == lost
        events += told(data)
        cursor = service.cursor
    assert events == happened(stage, first, next_block(service))
    assert events


async def gives_way(stage: Stage, fault: Any) -> OnchainService:
    """Spoil the first node; the next one must deliver the same blocks. Returns the service."""
    service = open_service(stage)
    await collect(stage)
    start = next_block(service)
    stage.spoil(NODES[0], fault=fault)
    data = await collect(stage, 120)
    assert told(data) == happened(stage, start, next_block(service))
    assert next_block(service) > start
    return service


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_node_without_logs_gives_way(stage: Stage, fault: Any) -> None:
    """With any fault of the first node, the next one delivers the same blocks."""
    await gives_way(stage, fault)


@pytest.mark.parametrize("fault", ["no_logs", "no_rows"])
async def test_a_node_that_lacks_blocks_costs_no_event(stage: Stage, fault: Any) -> None:
    """Its answers without logs are refused, as the blooms have some; the next node delivers the same blocks."""
    service = await gives_way(stage, fault)
    stage.spoil(*NODES, fault=fault)
    stands = next_block(service)
    assert told(await collect(stage, 120)) == []
    assert next_block(service) == stands


async def test_blocks_are_caught_up_with(stage: Stage) -> None:
    """While no node answers there are no events, and the update comes all the same; then ten blocks in each."""
    service = open_service(stage)
    await collect(stage)
    start = next_block(service)
    stage.spoil(*NODES)
    for _ in range(10):
        data = await collect(stage, 60)
        assert data.contract_events == []
    assert service.cursor == msgspec.msgpack.encode([start, 0])
    stage.heal(*NODES)
    events = told(await collect(stage, 310))
    assert next_block(service) == start + 10
    for _ in range(12):
        events += told(await collect(stage, 30))
    height = Ethereum(stage.simulator.market).height(stage.simulator.clock.now())
    assert next_block(service) >= height - 2
    assert events == happened(stage, start, next_block(service))


async def test_after_more_than_an_hour_it_begins_anew(stage: Stage) -> None:
    """After a longer absence it begins at the newest settled block and skips old events."""
    service = open_service(stage)
    await collect(stage)
    start = next_block(service)
    data = await collect(stage, 3700)
    assert next_block(service) > start + 300
    assert told(data) == happened(stage, next_block(service) - 1, next_block(service))


@pytest.mark.parametrize(
    "cursor",
    [b"", b"\xc1", b"rubbish", b"\x92\x01", msgspec.msgpack.encode([-1, 0]), msgspec.msgpack.encode({"block": 1})],
)
async def test_a_cursor_that_cannot_be_read_is_dropped(stage: Stage, cursor: bytes) -> None:
    """It is as if there were none."""
    service = open_service(stage, cursor)
    assert service.cursor == b""
    await collect(stage)
    assert next_block(service) > 1


async def test_a_cursor_of_another_chain_is_dropped(stage: Stage) -> None:
    """A place far above the chain, as after a change of RPC_NODES, would never be reached."""
    service = open_service(stage, msgspec.msgpack.encode([2**40, 3]))
    await collect(stage)
    assert next_block(service) < 2**40


async def test_too_many_events_are_divided(stage: Stage) -> None:
    """An update has no more than its limit; the rest comes with the next ones, from within a block too."""
    chain, height = Ethereum(stage.simulator.market), 0
    newest = chain.height(stage.now) - 3
    # Two events in one block, that a limit of one cuts through.
    height = next(n for n in range(newest - 6, newest - 290, -1) if len(happened(stage, n, n + 1)) == 2)
    reader = ContractEvents(ethereum_pool(stage.context(), "events"), most=1)
    reader.resume(msgspec.msgpack.encode([height, 0]))
    found: list[Told] = []
    for _ in range(3):
        _, reading = await reader.read(stage.now, 4.0)
        assert len(reading.events) <= 1
        found += [(e.block_number, e.transaction_hash, e.contract, e.event) for e in reading.events]
        reader.accept(reading)
    expected = happened(stage, height, height + 20)[:3]
    assert found == expected[: len(found)]
    assert len(found) >= 2


async def test_what_is_read_counts_when_it_is_accepted(stage: Stage) -> None:
    """A reading changes nothing by itself; without a node that answers there is none."""
    reader = ContractEvents(ethereum_pool(stage.context(), "events"))
    _, reading = await reader.read(stage.now, 4.0)
    assert reader.cursor == b""
    reader.accept(reading)
    assert reader.cursor != b""
    _, again = await reader.read(stage.now, 4.0)
    assert again.events == ()
    assert again.next == reading.next
    stage.spoil(*NODES)
    with pytest.raises(NoSourceError):
        await reader.read(stage.now, 4.0)
