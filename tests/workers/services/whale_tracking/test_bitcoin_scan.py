"""The scan of Bitcoin where the simulator's chain is too tame: reorgs, piecemeal blocks, sources that are behind."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

import msgspec
import pytest
from msgspec.structs import replace

from shared.budget import Budget
from shared.errors import NoSourceError, ProviderError
from workers.answers import BtcBlock, BtcHeader, BtcOutput, BtcTransaction
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask, Parsers, Provider, StatusError
from workers.services.whale_tracking.bitcoin import BitcoinScan, BitcoinState, Scanned

PRICE = 100_000.0


def payment(name: str, amount: float) -> BtcTransaction:
    """From `name` to somebody, with change."""
    sats = int(amount * 1e8)
    spent = (BtcOutput(address=f"payer of {name}", sats=sats + 1000),)
    outputs = (BtcOutput(address=f"payee of {name}", sats=sats), BtcOutput(address=f"payer of {name}", sats=500))
    return BtcTransaction(txid=name, inputs=spent, outputs=outputs)


def coinbase(block: str) -> BtcTransaction:
    outputs = (BtcOutput(address="miner", sats=10**12),)
    return BtcTransaction(txid=f"coinbase of {block}", inputs=(), outputs=outputs)


class Ledger:
    """The chain that all sources of a test tell of."""

    def __init__(self) -> None:
        self.blocks: dict[str, BtcBlock] = {}
        self.tip = ""
        self.add("genesis", parent="")

    def add(self, name: str, *payments: BtcTransaction, parent: str | None = None) -> None:
        """A block on top of `parent`, or of the newest; it is the newest now."""
        parent = self.tip if parent is None else parent
        height = self.blocks[parent].header.height + 1 if parent in self.blocks else 0
        header = BtcHeader(height=height, hash=name, parent=parent, time=height * 600.0)
        self.blocks[name] = BtcBlock(header=header, transactions=(coinbase(name), *payments))
        self.tip = name

    def chain(self) -> list[BtcHeader]:
        """The newest first."""
        headers, name = [], self.tip
        while name in self.blocks:
            headers.append(self.blocks[name].header)
            name = headers[-1].parent or ""
        return headers


class Source:
    """What all have in common. `down` makes every call fail, `lacks` those for a block's contents; `behind` hides the
    newest blocks."""

    base_url = "https://example.invalid"
    budget = Budget(1, 1.0)
    parsers: ClassVar[Parsers] = {}

    def __init__(self, name: str, ledger: Ledger) -> None:
        self.name, self.ledger = name, ledger
        self.down = self.lacks = False
        self.behind = 0
        self.calls: Counter[str] = Counter()

    def headers(self) -> dict[str, str]:
        return {}

    def called(self, what: str) -> None:
        self.calls[what] += 1
        if self.down or (self.lacks and what not in ("blocks", "latest")):
            raise ProviderError(self.name, "down")


class Explorer(Source):
    """Like Esplora: headers, pages, single transactions."""

    async def blocks(self, ask: Ask) -> tuple[BtcHeader, ...]:
        self.called("blocks")
        return tuple(self.ledger.chain()[self.behind :][:10])

    async def page(self, ask: Ask, block_hash: str, start: int) -> tuple[BtcTransaction, ...]:
        self.called("page")
        transactions = self.ledger.blocks[block_hash].transactions
        if start >= len(transactions):
            raise StatusError(self.name, 400)
        return transactions[start : start + 25]

    async def transaction(self, ask: Ask, txid: str) -> BtcTransaction:
        self.called("transaction")
        return next(tx for block in self.ledger.blocks.values() for tx in block.transactions if tx.txid == txid)


class Summarising(Explorer):
    """Like mempool.space: also the ids and sums of a block."""

    async def summary(self, ask: Ask, block_hash: str) -> tuple[tuple[str, int], ...]:
        self.called("summary")
        transactions = self.ledger.blocks[block_hash].transactions
        return tuple((tx.txid, sum(output.sats for output in tx.outputs)) for tx in transactions)


class Whole(Source):
    """Like blockchain.com: the newest block without its parent, and whole blocks."""

    async def latest(self, ask: Ask) -> BtcHeader:
        self.called("latest")
        return msgspec.structs.replace(self.ledger.chain()[self.behind], parent=None)

    async def block(self, ask: Ask, block_hash: str) -> BtcBlock:
        self.called("block")
        return self.ledger.blocks[block_hash]


class Hands:
    """Nothing is fetched here: the sources answer from memory."""

    def asker(self, provider: Provider, seconds: float, *, reserve: int = 0) -> Ask:
        async def ask(request: Any) -> Any:
            raise AssertionError("nothing to ask")

        return ask


class Scene:
    """A scan of a ledger from three sources, cycle by cycle."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.now = 1_000_000.0
        self.mempool = Summarising("mempool", self.ledger)
        self.esplora = Explorer("esplora", self.ledger)
        self.whole = Whole("blockchain_com", self.ledger)
        self.state = BitcoinState()
        self.scan = self.new_scan()

    def new_scan(self) -> BitcoinScan:
        def pool(*sources: Source) -> SourcePool[Any]:
            return SourcePool("bitcoin", sources, Hands(), clock=lambda: self.now, chance=lambda: 0.0)

        tips, blocks = pool(self.mempool, self.esplora, self.whole), pool(self.whole, self.mempool, self.esplora)
        return BitcoinScan(tips, blocks, pool(self.esplora, self.mempool), 1e6)

    def restart(self) -> None:
        """Another worker takes over, with what is stored."""
        self.state = msgspec.msgpack.decode(msgspec.msgpack.encode(self.state), type=BitcoinState)
        self.scan = self.new_scan()

    async def cycle(self, later: float = 30.0) -> Scanned:
        self.now += later
        newest = max(block.header.time for block in self.ledger.blocks.values())
        scanned = await self.scan.scan(self.state, PRICE, newest + 60.0, 12.0)
        self.state = scanned.state
        return scanned

    async def announced(self, later: float = 30.0) -> list[str]:
        return [transfer.hash for transfer in (await self.cycle(later)).found]


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_only_new_blocks_are_told(scene: Scene) -> None:
    """The newest block first, then each later one, once."""
    scene.ledger.add("1", payment("a", 20))
    assert await scene.announced() == ["a"]
    assert await scene.announced() == []
    scene.ledger.add("2", payment("b", 20), payment("small", 9))
    scene.ledger.add("3", payment("c", 20))
    assert await scene.announced() == ["b", "c"]


async def test_the_newest_blocks_are_asked_for_every_other_cycle(scene: Scene) -> None:
    """mempool.space's budget wants it; in between nothing is asked."""
    for _ in range(10):
        await scene.cycle(15.0)
    assert scene.mempool.calls["blocks"] == 5


@pytest.mark.parametrize("restarting", [False, True])
async def test_a_replaced_block_is_scanned_anew(scene: Scene, restarting: bool) -> None:
    """A transfer in both blocks is published once; those only in the new one are added."""
    await scene.announced()
    scene.ledger.add("1", payment("a", 20))
    scene.ledger.add("2", payment("b", 20), payment("c", 20))
    assert await scene.announced() == ["a", "b", "c"]
    if restarting:
        scene.restart()
    scene.ledger.add("other 1", payment("b", 20), payment("d", 20), parent="genesis")
    scene.ledger.add("other 2", payment("a", 20), parent="other 1")
    assert await scene.announced() == []  # two tips of the same height: the next block decides
    scene.ledger.add("other 3", payment("e", 20))
    assert await scene.announced() == ["d", "e"]
    assert [passed.hash for passed in scene.state.trail.passed] == ["genesis", "other 1", "other 2", "other 3"]  # type: ignore[union-attr]


async def test_a_replaced_block_is_noticed_without_lists_of_headers(scene: Scene) -> None:
    """blockchain.com alone names a parent only with the whole block; that is enough to go back."""
    scene.mempool.down = scene.esplora.down = True
    await scene.announced()
    scene.ledger.add("1", payment("a", 20))
    assert await scene.announced() == ["a"]
    scene.ledger.add("other 1", payment("b", 20), parent="genesis")
    scene.ledger.add("other 2", payment("c", 20))
    found = [tx for _ in range(4) for tx in await scene.announced()]
    assert found == ["b", "c"]


async def test_a_gap_is_walked_without_lists_of_headers(scene: Scene) -> None:
    """Parent by parent, down to the block that is next."""
    scene.mempool.down = scene.esplora.down = True
    await scene.announced()
    for number in range(1, 5):
        scene.ledger.add(str(number), payment(f"tx {number}", 20))
    assert await scene.announced() == ["tx 1", "tx 2", "tx 3", "tx 4"]


async def test_a_block_is_read_piece_by_piece_from_its_summary(scene: Scene) -> None:
    """Without whole blocks only what may be large is asked for, over several cycles, also across a restart."""
    await scene.announced()
    scene.whole.down = True
    payments = [payment(f"tx {number}", 20 if number % 2 else 1) for number in range(60)]
    scene.ledger.add("1", *payments)
    first = await scene.announced()
    assert 0 < len(first) < 30
    scene.restart()
    rest = [tx for _ in range(3) for tx in await scene.announced()]
    assert first + rest == [tx.txid for tx in payments if tx.outputs[0].sats > 10**9]
    assert scene.esplora.calls["transaction"] == 30
    assert scene.mempool.calls["summary"] == 1
    assert scene.state.pending is None


async def test_a_whole_block_ends_the_piecework(scene: Scene) -> None:
    """When the source of whole blocks is back, one call does the rest, and nothing is published twice."""
    await scene.announced()
    scene.whole.down = True
    scene.ledger.add("1", *(payment(f"tx {number}", 20) for number in range(100)))
    first = await scene.announced()
    scene.whole.down = False
    rest = await scene.announced()
    assert first + rest == [f"tx {number}" for number in range(100)]
    assert scene.esplora.calls["transaction"] == len(first)


@pytest.mark.parametrize("count", [10, 24, 49, 50, 340])
async def test_a_block_is_read_page_by_page(scene: Scene, count: int) -> None:
    """With pages alone the block is read to its end, be the last page full or not, and twelve pages a cycle."""
    await scene.announced()
    scene.whole.down = scene.mempool.down = True
    scene.ledger.add("1", *(payment(f"tx {number}", 20) for number in range(count)))
    first = await scene.announced()
    assert len(first) == min(count, 299)
    scene.restart()
    rest = [tx for _ in range(2) for tx in await scene.announced()]
    assert first + rest == [f"tx {number}" for number in range(count)]
    assert scene.state.pending is None


async def test_a_source_that_is_a_block_behind_is_not_at_fault(scene: Scene) -> None:
    """There is nothing new from it; two blocks behind, the next source is asked."""
    for number in range(1, 4):
        scene.ledger.add(str(number))
    await scene.announced()
    scene.mempool.behind = 1
    assert await scene.announced() == []
    assert scene.esplora.calls["blocks"] == 0
    scene.mempool.behind = 2
    scene.ledger.add("4", payment("a", 20))
    scene.mempool.behind = 3
    assert await scene.announced() == ["a"]
    assert scene.esplora.calls["blocks"] == 1


async def test_a_long_absence_is_not_made_up_for(scene: Scene) -> None:
    """Of twenty blocks the six newest are scanned."""
    await scene.announced()
    for number in range(1, 21):
        scene.ledger.add(str(number), payment(f"tx {number}", 20))
    assert await scene.announced(3 * 3600) == [f"tx {number}" for number in range(15, 21)]


@pytest.mark.parametrize("fault", ["down", "lacks"])
async def test_a_block_that_nobody_has_yet_waits(scene: Scene, fault: str) -> None:
    """With no source of its contents, or none at all, the scan fails and stays where it was; then it goes on."""
    await scene.announced()
    scene.ledger.add("1", payment("a", 20))
    sources: tuple[Source, ...] = (scene.mempool, scene.esplora, scene.whole)
    for source in sources:
        setattr(source, fault, True)
    before = scene.state
    for _ in range(3):
        with pytest.raises(NoSourceError):
            await scene.cycle()
    assert scene.state == before
    for source in sources:
        setattr(source, fault, False)
    assert await scene.announced(600) == ["a"]


async def test_without_a_price_nothing_is_skipped(scene: Scene) -> None:
    """The blocks wait for the price."""
    await scene.announced()
    scene.ledger.add("1", payment("a", 20))
    with pytest.raises(NoSourceError, match="unknown"):
        await scene.scan.scan(scene.state, None, 0.0, 12.0)
    assert await scene.announced() == ["a"]


async def test_a_list_of_blocks_that_can_not_be_there_carries_nothing_away(scene: Scene) -> None:
    """A source whose heights are 40 million too high is passed over: the position would never come back."""
    assert await scene.announced() == []
    right = scene.mempool.blocks

    async def too_high(ask: Ask) -> tuple[BtcHeader, ...]:
        return tuple(replace(header, height=header.height + 40_000_000) for header in await right(ask))

    scene.mempool.blocks = too_high  # type: ignore[method-assign]
    scene.ledger.add("1", payment("a", 20))
    assert await scene.announced() == ["a"]
    scene.mempool.blocks = right  # type: ignore[method-assign]
    scene.ledger.add("2", payment("b", 20))
    assert await scene.announced(60) == ["b"]
    assert scene.state.trail is not None
    assert scene.state.trail.next == 3
