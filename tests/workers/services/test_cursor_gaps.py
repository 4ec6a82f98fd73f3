"""Where a followed chain could lose something or tell it twice: takeovers, reorgs and sources that lag or are wrong."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, ClassVar

import msgspec
import pytest

from shared.budget import Budget
from shared.errors import NoSourceError, ProviderError
from tests.workers.services.whale_tracking.test_bitcoin_scan import Explorer, Hands, Scene, payment
from tests.workers.test_worker import Bench, Counting, bench  # noqa: F401
from workers.answers import ContractLog, EthBlock, EthHeader, ReportedTransfer, TransferPage
from workers.asking.pool import SourcePool
from workers.asking.provider import StatusError
from workers.collector import Collector
from workers.services.onchain.contract_events import ContractEvents
from workers.services.onchain.contracts import WATCHED
from workers.services.whale_tracking.alerts import AlertScan, Seen
from workers.services.whale_tracking.ethereum import PRICES, EthereumScan


class Led:
    """A worker as another of its category sees it: the same Redis, its own fence."""

    def __init__(self, worker: Any, fence: int) -> None:
        self._worker, self.fence = worker, fence

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)


class Held(Counting):
    """Its cycle stands still between collecting and publishing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.go = asyncio.Event(), asyncio.Event()

    async def collect(self, now: float, deadline: float) -> Any:
        payload = await super().collect(now, deadline)
        self.inside.set()
        await self.go.wait()
        return payload


async def told(bench: Bench) -> list[list[str]]:  # noqa: F811
    return [update.data["sources"] for update in await bench.published("news")]


async def test_a_paused_worker_cannot_publish_once_its_successor_has_resumed(bench: Bench) -> None:  # noqa: F811
    """The successor has read the cursor: the paused worker's data would be published twice."""
    fence = bench.worker.fence
    paused, successor = Held(), Held()
    first = asyncio.create_task(Collector("news", paused, Led(bench.worker, fence)).cycle())  # type: ignore[arg-type]
    await paused.inside.wait()
    second = asyncio.create_task(Collector("news", successor, Led(bench.worker, fence + 1)).cycle())  # type: ignore[arg-type]
    await successor.inside.wait()
    paused.go.set()
    await first
    successor.go.set()
    assert await second
    assert await told(bench) == [["1"]]


async def test_a_lease_lost_and_regained_between_two_cycles_is_noticed(bench: Bench) -> None:  # noqa: F811
    """Updates that another worker published meanwhile are not published again."""
    led = Led(bench.worker, bench.worker.fence)
    collector = Collector("news", Counting(), led)  # type: ignore[arg-type]
    assert await collector.cycle()
    assert await Collector("news", Counting(), Led(bench.worker, led.fence + 1)).cycle()  # type: ignore[arg-type]
    led.fence += 2
    assert await collector.cycle()
    assert await told(bench) == [["1"], ["2"], ["3"]]


class Node:
    """A public node: `head` is what its backend for headers has, `logged` what the one for logs has."""

    base_url, chain = "https://example.invalid", "ethereum"
    budget = Budget(1, 1.0)
    parsers: ClassVar[dict[str, Any]] = {}

    def __init__(self, name: str, head: int, logged: int | None = None) -> None:
        self.name, self.head, self.logged = name, head, head if logged is None else logged
        self.claimed: int | None = None
        self.identity = 1

    def _of(self, number: int) -> EthHeader:
        return EthHeader(
            number=number, hash=f"h{number}", parent=f"h{number - 1}", time=1000.0, gas_used=0, gas_limit=1, base_fee=0
        )

    async def chain_id(self, ask: Any) -> int:
        return self.identity

    async def header(self, ask: Any, number: int | None = None) -> EthHeader | None:
        if number is None:
            return self._of(self.claimed or self.head)
        return self._of(number) if number <= self.head else None

    async def block(self, ask: Any, number: int) -> EthBlock | None:
        return EthBlock(header=self._of(number), transactions=()) if number <= self.head else None

    async def transfers_in(self, ask: Any, contracts: Any, block_hash: str) -> tuple[Any, ...]:
        return ()

    def _log(self, number: int) -> ContractLog:
        watched = WATCHED[0]
        return ContractLog(
            block=number, index=0, transaction=f"t{number}", contract=watched.contract, topic=watched.topic
        )

    async def logs_in(self, ask: Any, contracts: Any, topics: Any, block_hash: str) -> tuple[ContractLog, ...]:
        """By hash: an error for a block that this backend lacks."""
        number = int(block_hash[1:])
        if number > self.logged:
            raise ProviderError(self.name, "unknown block")
        return (self._log(number),)


def pool_of(*nodes: Any, clock: Any = None) -> Any:
    return SourcePool("nodes", nodes, Hands(), clock=clock or (lambda: 0.0), chance=lambda: 0.0)


async def test_a_backend_that_lacks_a_block_costs_no_contract_event() -> None:
    """Behind one address the logs may come from a node that is three blocks behind the one with the head."""
    node, clock = Node("a", head=100), [0.0]
    reader = ContractEvents(pool_of(node, clock=lambda: clock[0]))
    events: list[int] = []
    for head, logged in ((100, 100), (102, 99), (104, 104), (106, 106)):
        node.head, node.logged = head, logged
        clock[0] += 400
        try:
            _, reading = await reader.read(1000.0, 4.0)
        except NoSourceError:
            continue
        events += [event.block_number for event in reading.events]
        reader.accept(reading)
    assert events == list(range(98, 105))


async def test_a_node_of_another_chain_is_read_by_nobody() -> None:
    """Its blocks differ, and a cursor in them would skip ours."""
    node = Node("a", head=100)
    node.identity = 137
    with pytest.raises(NoSourceError, match="on chain 137 instead of 1"):
        await ContractEvents(pool_of(node)).read(1000.0, 4.0)


async def test_a_head_that_is_not_there_does_not_move_the_trail() -> None:
    """A node that claims a head far above the chain, and has no such block, must not carry the scan away."""
    node, clock = Node("a", head=100), [0.0]
    scan = EthereumScan(pool_of(node, clock=lambda: clock[0]), 1e6)
    prices = dict.fromkeys(PRICES, 1.0)
    first = await scan.scan(None, prices, 1000.0, 4.0)
    node.claimed = 160  # what a chain may reach
    second = await scan.scan(first.trail, prices, 1000.0, 4.0)
    node.claimed = 10_000
    with pytest.raises(NoSourceError, match="block 10000 is 9840 above the one before"):
        await scan.scan(second.trail, prices, 1000.0, 4.0)
    node.claimed, node.head, clock[0] = None, 104, 10.0
    third = await scan.scan(second.trail, prices, 1000.0, 4.0)
    assert third.trail is not None
    assert [passed.number for passed in third.trail.passed] == list(range(98, 103))


@pytest.mark.parametrize("seconds", [15.0, 30.0])
async def test_a_replaced_block_is_not_skipped_between_two_lists_of_headers(seconds: float) -> None:
    """With blockchain.com alone, cycles come twice as often as the newest block is asked for (see TIP_REFRESH)."""
    scene = Scene()
    scene.mempool.down = scene.esplora.down = True
    await scene.announced()
    scene.ledger.add("1", payment("a", 20))
    assert await scene.announced() == ["a"]
    scene.ledger.add("other 1", payment("b", 20), parent="genesis")
    scene.ledger.add("other 2", payment("c", 20))
    assert [tx for _ in range(8) for tx in await scene.announced(seconds)] == ["b", "c"]


async def test_a_list_of_headers_with_a_hole_skips_no_block() -> None:
    """As while mempool.space takes in a reorg: the newest one's parent is not in its list yet."""
    scene = Scene()
    await scene.announced()
    scene.ledger.add("1", payment("a", 20))
    assert await scene.announced() == ["a"]
    scene.ledger.add("other 1", payment("b", 20), parent="genesis")
    scene.ledger.add("other 2", payment("c", 20))
    whole = type(scene.mempool).blocks

    async def holed(ask: Any) -> Any:
        rows = await whole(scene.mempool, ask)
        stale = scene.ledger.blocks["1"].header
        return tuple(stale if row.hash == "other 1" else row for row in rows)

    scene.mempool.blocks = holed  # type: ignore[method-assign]
    found = [tx for _ in range(3) for tx in await scene.announced(15.0)]
    del scene.mempool.blocks
    found += [tx for _ in range(30) for tx in await scene.announced(15.0)]
    assert found == ["b", "c"]


async def test_a_summary_is_not_believed_to_follow(  # blockchain.com's tip has no parent, and only pieces are there
) -> None:
    """A block with an unknown parent is not scanned in pieces on top of another one."""
    scene = Scene()
    scene.mempool.down = scene.esplora.down = True
    await scene.announced()
    scene.ledger.add("1", payment("a", 20))
    assert await scene.announced() == ["a"]
    scene.ledger.add("other 1", payment("b", 20), parent="genesis")
    scene.ledger.add("other 2", payment("c", 20))
    # Its headers come from blockchain.com still, the block from mempool.space, which is back for that pool.
    scene.whole.lacks = True

    async def refused(ask: Any) -> Any:
        raise StatusError("mempool", 429)

    scene.mempool.down = scene.esplora.down = False
    scene.mempool.blocks = scene.esplora.blocks = refused  # type: ignore[method-assign]
    found: list[str] = []
    for cycle in range(34):
        if cycle == 4:
            del scene.mempool.blocks, scene.esplora.blocks
            scene.whole.lacks = False
        with contextlib.suppress(NoSourceError):
            found += await scene.announced(30.0)
    assert found == ["b", "c"]


async def test_a_404_in_the_middle_of_a_block_is_not_its_end() -> None:
    """One backend of Esplora lacks the block: "404 Block not found" is not "start index out of range"."""
    scene = Scene()
    await scene.announced()
    scene.whole.down = scene.mempool.down = True
    scene.ledger.add("1", *(payment(f"tx {number}", 20) for number in range(100)))
    block = scene.ledger.blocks["1"]
    header = msgspec.structs.replace(block.header, count=len(block.transactions))
    scene.ledger.blocks["1"] = msgspec.structs.replace(block, header=header)
    faults = [404]
    real = Explorer.page

    async def page(ask: Any, block_hash: str, start: int) -> Any:
        if start == 50 and faults:
            raise StatusError("esplora", faults.pop())
        return await real(scene.esplora, ask, block_hash, start)

    scene.esplora.page = page  # type: ignore[method-assign]
    found = [tx for _ in range(6) for tx in await scene.announced()]
    assert len(found) == 100


class Tracker(Node):
    last = 9960

    async def transfers(self, ask: Any, least: float, start: float, cursor: str | None) -> TransferPage:
        rows = [
            ReportedTransfer(
                chain="tron", hash=str(at), sender=None, sender_owner=None, to=None, to_owner=None,
                symbol="USDT", amount=2e6, usd=2e6, time=float(at),
            )
            for at in range(9945, self.last, 5) if at >= start
        ]  # fmt: skip
        return TransferPage(transfers=tuple(rows), cursor=None)


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
async def test_a_clock_that_is_set_repeats_no_alert_and_hides_none(jump: float) -> None:
    """While it is wrong alerts may wait; when it is right again they come, and none comes twice."""
    tracker = Tracker("whale_alert", 1)
    scan = AlertScan(pool_of(tracker), 1e6)
    seen, found = Seen(), []
    for now, ahead in ((10_000.0, 0.0), (10_060.0, jump), (10_120.0, jump), (10_180.0, 0.0)):
        tracker.last = int(now)
        alerted = await scan.scan(seen, now + ahead, 4.0)
        seen = alerted.seen
        found += [transfer.hash for transfer in alerted.found]
    assert found == [str(at) for at in range(9945, 10_180, 5)]


async def test_a_successor_with_a_slower_clock_tells_no_alert_twice() -> None:
    """Alerts that the first worker dropped as too old are too old for the successor as well."""
    scan = AlertScan(pool_of(Tracker("whale_alert", 1)), 1e6)
    seen, found = Seen(), []
    for now in (10_000.0, 10_560.0, 10_515.0):
        alerted = await scan.scan(seen, now, 4.0)
        seen = alerted.seen
        found += [transfer.hash for transfer in alerted.found]
    assert found == ["9945", "9950", "9955"]
