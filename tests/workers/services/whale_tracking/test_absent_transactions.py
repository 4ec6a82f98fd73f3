"""Sources of Bitcoin's blocks that give a part of a block as if it were all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from shared.errors import NoSourceError
from tests.workers.services.whale_tracking.test_bitcoin_scan import Explorer, Scene, Summarising, Whole, payment
from workers.answers import BtcBlock
from workers.asking.provider import StatusError

Spoilt = Callable[[tuple[Any, ...], int], tuple[Any, ...]]
"""What becomes of a page or another list that begins at a number."""


def cut(rows: tuple[Any, ...], start: int) -> tuple[Any, ...]:
    """Without its last row."""
    return rows[:-1]


def nothing(rows: tuple[Any, ...], start: int) -> tuple[Any, ...]:
    """Without any row."""
    return ()


def doubled(rows: tuple[Any, ...], start: int) -> tuple[Any, ...]:
    """With its last row twice."""
    return (*rows, rows[-1])


def add(scene: Scene, name: str, payments: int, *, counted: bool = True) -> list[str]:
    """A block of this many payments, whose header says how many transactions it has if `counted`."""
    whales = [payment(f"{name} {number}", 20) for number in range(payments)]
    scene.ledger.add(name, *whales)
    block = scene.ledger.blocks[name]
    header = replace(block.header, count=payments + 1 if counted else None)
    scene.ledger.blocks[name] = BtcBlock(header=header, transactions=block.transactions)
    return [tx.txid for tx in whales]


def spoil(source: Any, spoilt: Spoilt, *, after: int = 0) -> None:
    """Let a source answer with a part, with pages from `after` on."""
    if isinstance(source, Whole):
        whole = source.block

        async def block(ask: Any, block_hash: str) -> BtcBlock:
            found = await whole(ask, block_hash)
            return replace(found, transactions=spoilt(found.transactions, 0))

        source.block = block  # type: ignore[method-assign]
    elif isinstance(source, Summarising):
        inner = source.summary

        async def summary(ask: Any, block_hash: str) -> Any:
            return spoilt(await inner(ask, block_hash), 0)

        source.summary = summary  # type: ignore[method-assign]
    else:
        pages = source.page

        async def page(ask: Any, block_hash: str, start: int) -> Any:
            rows = await pages(ask, block_hash, start)
            return spoilt(rows, start) if start >= after else rows

        source.page = page


def only(scene: Scene, source: str) -> Any:
    """Of the sources of a block's contents, only this one answers."""
    for name in ("whole", "mempool", "esplora"):
        getattr(scene, name).lacks = name != source
    scene.esplora.lacks = source == "whole"  # it has the single transactions of a summary
    if source == "mempool":
        scene.esplora.page = refusing  # type: ignore[method-assign]
    return getattr(scene, source)


async def refusing(ask: Any, block_hash: str, start: int) -> Any:
    raise StatusError("esplora", 500)


@pytest.mark.parametrize("source", ["whole", "mempool", "esplora"])
@pytest.mark.parametrize("spoilt", [cut, nothing, doubled])
async def test_a_part_of_a_block_is_not_believed(scene: Scene, source: str, spoilt: Spoilt) -> None:
    """The trail stands still until a source has as many transactions as the header says; then each is told once."""
    await scene.announced()
    names = add(scene, "1", 30)
    healthy = only(scene, source)
    spoil(healthy, spoilt)
    before = scene.state.trail
    found: list[str] = []
    for _ in range(2):
        try:
            found += await scene.announced()
        except NoSourceError:
            continue
    assert scene.state.trail is not None
    assert before is not None
    assert scene.state.trail.next == before.next
    for name in ("whole", "mempool", "esplora"):
        setattr(scene, name, {"whole": Whole, "mempool": Summarising, "esplora": Explorer}[name](name, scene.ledger))
    scene.restart()
    for _ in range(3):
        found += await scene.announced(600)
    assert sorted(found) == sorted(names)


@pytest.mark.parametrize("payments", [24, 49])
async def test_a_block_ends_with_its_count(scene: Scene, payments: int) -> None:
    """A full last page needs no further call, which the end of a block would refuse."""
    await scene.announced()
    names = add(scene, "1", payments)
    only(scene, "esplora")
    assert await scene.announced() == names
    assert scene.esplora.calls["page"] == (payments + 1) // 25
    assert scene.state.pending is None


@pytest.mark.parametrize("status", [400, 404])
async def test_a_page_that_is_refused_is_no_end(scene: Scene, status: int) -> None:
    """A backend that lacks the block refuses its second page: it has not ended before its count."""
    await scene.announced()
    add(scene, "1", 60)
    esplora = only(scene, "esplora")
    pages = esplora.page

    async def page(ask: Any, block_hash: str, start: int) -> Any:
        if start:
            raise StatusError("esplora", status)
        return await pages(ask, block_hash, start)

    esplora.page = page
    before = scene.state.trail
    await scene.announced()
    with pytest.raises(NoSourceError):
        await scene.announced(600)
    assert before is not None
    assert scene.state.trail is not None
    assert scene.state.trail.next == before.next


async def test_an_unknown_count_needs_a_refusal_as_the_end(scene: Scene) -> None:
    """Without a count a short page may be a part: the block ends where the next page is past the end."""
    await scene.announced()
    names = add(scene, "1", 30, counted=False)
    only(scene, "esplora")
    assert await scene.announced() == names
    assert scene.esplora.calls["page"] == 3
    add(scene, "2", 30, counted=False)
    spoil(scene.esplora, nothing, after=25)
    await scene.announced()
    assert scene.state.pending is not None


async def test_a_page_of_another_place_is_noticed(scene: Scene) -> None:
    """A proxy that gives the first page again would hide the rest: only the first one has a coinbase."""
    await scene.announced()
    add(scene, "1", 60)
    esplora = only(scene, "esplora")
    pages = esplora.page

    async def page(ask: Any, block_hash: str, start: int) -> Any:
        return await pages(ask, block_hash, 0)

    esplora.page = page
    await scene.announced()
    assert scene.state.pending is not None
    assert scene.state.pending.start == 25


async def test_another_transaction_is_not_the_one_asked_for(scene: Scene) -> None:
    """A source that answers with another one is not believed; the next has the right one."""
    await scene.announced()
    names = add(scene, "1", 3)
    only(scene, "mempool")

    async def other(ask: Any, txid: str) -> Any:
        return payment("another", 20)

    scene.esplora.transaction = other  # type: ignore[method-assign]
    assert await scene.announced() == names


@pytest.fixture
def scene() -> Scene:
    return Scene()
