"""Replays: everything once and in order, batches built once, short turns, and an allowance per connection."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from functools import partial

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broadcast.batches import Batches
from gateway.broadcast.recent import Missed, Recent
from gateway.broadcast.replays import AHEAD, PACE, Allowance, FellBehind, Replays
from gateway.frames import WRITE_BYTES, Buffer, Form
from gateway.updates import Update
from shared.bus import Position
from shared.envelope import Envelope, pack_draft
from shared.metrics import GatewayMetrics, open_registry
from tests.waiting import until

FORM = Form.TEXT_RECOVERED


def update(seq: int, epoch: str = "e", size: int = 0) -> Update:
    raw = pack_draft("news", {"n": seq, "pad": "x" * size}, "t")
    raw += msgpack.packb("epoch") + msgpack.packb(epoch) + msgpack.packb("seq") + msgpack.packb(seq)
    return Update(Envelope.unpack(raw), raw)


def history(count: int, length: int = 1000, size: int = 0) -> Recent:
    recent = Recent(length)
    for seq in range(1, count + 1):
        recent.append(update(seq, size=size))
    return recent


def since(recent: Recent, seq: int) -> Missed:
    found = recent.since(Position("e", seq))
    assert found is not None
    return found


def missed(recent: Recent, seq: int) -> list[Update]:
    return list(since(recent, seq))


def wires(updates: Sequence[Update]) -> bytes:
    return b"".join(each.frame(FORM).wire for each in updates)


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Peer:
    """An outbox whose client reads at once, or only what `read` lets it have."""

    def __init__(self, *, reads: bool = True) -> None:
        self.reads = reads
        self.wire = b""
        self.writes = 0
        self.size = 0
        self._empty = asyncio.Event()

    def offer(self, buffer: Buffer) -> None:
        assert not self.size, "the batch before has not been read"
        self.wire += buffer.wire
        self.writes += 1
        if not self.reads:
            self.size = len(buffer.wire)
            self._empty.clear()

    def read(self) -> None:
        self.size = 0
        self._empty.set()

    async def drained(self) -> None:
        await self._empty.wait()


def new_replays(clock: Clock | None = None) -> Replays:
    metrics = GatewayMetrics(open_registry())
    return Replays(metrics) if clock is None else Replays(metrics, clock=clock)


def under_way(replays: Replays) -> dict[str, int]:
    counts = {state: replays.count(state) for state in ("ready", "reading", "held")}
    return {state: count for state, count in counts.items() if count}


# Batches


async def test_clients_that_left_at_different_updates_share_their_batches() -> None:
    """Of 64 positions in a row, only the first batch of each is its own; a second herd has nothing built."""
    recent, batches = history(400), Batches()
    for _ in range(2):
        for seq in range(64, 128):
            left = missed(recent, seq)
            while left:
                left = left[batches.first(left, FORM).updates :]
    assert batches.built == 64 + (400 - 128 + 48) // 64


@given(
    st.lists(st.tuples(st.sampled_from(["next", "next", "next", "hole", "epoch"]), st.integers(0, 40_000)), min_size=1)
)
def test_batches_are_the_updates_in_order(script: list[tuple[str, int]]) -> None:
    """Whatever the sizes, holes and epochs: the same frames as one by one, and no batch of several is over 64 KiB."""

    async def check() -> None:
        batches, updates, epoch, seq = Batches(size=200_000), list[Update](), 0, 0
        for step, size in script:
            epoch, seq = (epoch + 1, 1) if step == "epoch" else (epoch, seq + (2 if step == "hole" else 1))
            updates.append(update(seq, str(epoch), size))
        for start in (0, len(updates) // 2, 0):
            left, wire = updates[start:], b""
            while left:
                batch = batches.first(left, FORM)
                frames = batch.buffer.frames
                assert len(frames) == batch.updates
                assert len(batch.buffer.wire) <= 65_536 or len(frames) == 1
                wire += batch.buffer.wire
                left = left[batch.updates :]
            assert wire == wires(updates[start:])

    asyncio.run(check())


async def test_batches_are_bounded_in_bytes_and_forgotten_when_unused() -> None:
    """A herd that wants more than is kept has it all the same; a while after it, nothing is left."""
    recent, batches = history(960, size=250), Batches(size=200_000, seconds=0.01)
    left = missed(recent, 0)
    while left:
        left = left[batches.first(left, FORM).updates :]
    assert 0 < len(batches) <= 200_000 // (2 * 64 * 250)
    await until(lambda: len(batches) == 0)


# Replays


@given(st.data())
def test_a_replay_sends_everything_once_and_in_order(data: st.DataObject) -> None:
    """What was missed and what is published meanwhile, over new epochs and holes, to quick and slow clients alike."""

    async def check() -> None:
        recent, replays = history(data.draw(st.integers(1, 60)), length=100), new_replays()
        starts = data.draw(st.lists(st.integers(0, len(missed(recent, 0)) - 1), min_size=1, max_size=5))
        peers = [Peer(reads=data.draw(st.booleans())) for _ in starts]
        expected = [missed(recent, start) for start in starts]
        running = [
            asyncio.create_task(replays.run(peer, since(recent, start), FORM, Allowance()))
            for peer, start in zip(peers, starts, strict=True)
        ]
        await asyncio.sleep(0)
        epoch, seq = "e", len(missed(recent, 0))
        for step in data.draw(st.lists(st.sampled_from(["publish", "hole", "epoch", "read", "turn"]), max_size=40)):
            if step == "read":
                for peer in peers:
                    peer.read()
            if step in ("read", "turn"):
                await asyncio.sleep(0)
                continue
            epoch, seq = (epoch + "+", 1) if step == "epoch" else (epoch, seq + (2 if step == "hole" else 1))
            recent.append(update(seq, epoch))
            for updates, task in zip(expected, running, strict=True):
                if not task.done():
                    updates.append(recent.updates[-1])
        while not all(task.done() for task in running):
            for peer in peers:
                peer.read()
            await asyncio.sleep(0)
        await asyncio.gather(*running)
        assert [peer.wire for peer in peers] == [wires(updates) for updates in expected]
        assert under_way(replays) == {}

    asyncio.run(check())


async def test_a_herd_has_every_batch_built_once() -> None:
    """Three hundred clients that missed the same hundred updates cost two batches, and two writes each."""
    recent, replays = history(100), new_replays()
    peers = [Peer() for _ in range(300)]
    updates = missed(recent, 0)
    await asyncio.gather(*(replays.run(peer, since(recent, 0), FORM, Allowance()) for peer in peers))
    assert {peer.wire for peer in peers} == {wires(updates)}
    assert {peer.writes for peer in peers} == {2}
    assert replays.batches.built == 2


async def test_a_turn_ends_by_the_clock() -> None:
    """Of slow work a turn does less: when a write takes 1.1 ms, four are done before everybody else has a turn."""
    clock = Clock()

    class Costly(Peer):
        def offer(self, buffer: Buffer) -> None:
            super().offer(buffer)
            clock.now += 0.0011

    recent, replays = history(640), new_replays(clock)
    peers = [Costly() for _ in range(20)]
    herd = asyncio.gather(*(replays.run(peer, since(recent, 0), FORM, Allowance()) for peer in peers))
    done = []
    while not herd.done():
        done.append(sum(peer.writes for peer in peers))
        await asyncio.sleep(0)
    steps = [after - before for before, after in itertools.pairwise(done)]
    assert max(steps) == 4
    assert sum(peer.writes for peer in peers) == 200


async def test_few_replays_end_in_a_turn() -> None:
    """Each costs its session time in the next turn, which has to be short, too: five hundred take several turns."""
    recent, replays = history(1), new_replays(Clock())
    tasks = [asyncio.create_task(replays.run(Peer(), since(recent, 0), FORM, Allowance())) for _ in range(500)]
    ended = [0]
    while ended[-1] < 500:
        await asyncio.sleep(0)
        ended.append(sum(task.done() for task in tasks))
    assert max(after - before for before, after in itertools.pairwise(ended)) <= 81


async def test_clients_share_batches_of_large_updates() -> None:
    """Where 64 KiB end a batch before 64 updates do, it ends at a smaller power of two: behind it, all is shared."""
    recent, batches = history(400, size=2000), Batches()
    for seq in range(32, 64):
        left = missed(recent, seq)
        while left:
            left = left[batches.first(left, FORM).updates :]
    assert batches.built <= 32 + 400 // 16


async def test_all_replays_together_keep_to_a_pace() -> None:
    """However many clients come back, no more is written than they can read meanwhile: eight megabytes at once, then as
    much as the time allows."""

    class Counted(Peer):
        def offer(self, buffer: Buffer) -> None:
            nonlocal written
            written += len(buffer.wire)

    def reached(size: int) -> bool:
        return written >= size

    clock, written = Clock(), 0
    recent, replays = history(64, size=60_000), new_replays(clock)
    total = 40 * len(wires(missed(recent, 0)))
    herd = asyncio.gather(*(replays.run(Counted(), since(recent, 0), FORM, Allowance()) for _ in range(40)))
    for allowed in range(AHEAD, AHEAD + total, AHEAD):
        await until(partial(reached, min(allowed, total)))
        for _ in range(100):
            await asyncio.sleep(0)
        assert written <= allowed + WRITE_BYTES
        clock.now += AHEAD / PACE
    await herd
    assert written == total


async def test_replays_take_turns() -> None:
    """A short one that comes last is done long before a long one, and a client that does not read delays nobody."""
    recent, replays, order = history(960), new_replays(), list[Peer]()  # 15 batches

    class Noted(Peer):
        def offer(self, buffer: Buffer) -> None:
            super().offer(buffer)
            order.append(self)

    stuck, long, short = Noted(reads=False), Noted(), Noted()
    tasks = [
        asyncio.create_task(replays.run(peer, since(recent, seq), FORM, Allowance()))
        for peer, seq in ((stuck, 0), (long, 0), (short, 832))
    ]
    await asyncio.gather(*tasks[1:])
    assert order == [stuck, long, short, long, short, *[long] * 13]
    assert under_way(replays) == {"reading": 1}
    while not tasks[0].done():
        stuck.read()
        await asyncio.sleep(0)
    assert stuck.wire == long.wire


async def test_who_asks_for_the_whole_history_has_time_for_its_turn() -> None:
    """Updates that are published before its first batch push older ones out, and are no reason to give it up."""
    recent, replays, peer = history(100, length=100), new_replays(), Peer()
    running = asyncio.create_task(replays.run(peer, since(recent, 0), FORM, Allowance()))
    expected = missed(recent, 0)
    for seq in range(101, 111):
        recent.append(update(seq))
        expected.append(recent.updates[-1])
    await running
    assert peer.wire == wires(expected)
    assert recent.since(Position("e", 9)) is None


async def test_a_client_that_falls_behind_the_history_is_given_up() -> None:
    """More waits for it than the history holds: FellBehind, and nothing is left of the replay."""
    recent, replays, peer = history(80, length=80), new_replays(), Peer(reads=False)
    running = asyncio.create_task(replays.run(peer, since(recent, 0), FORM, Allowance()))
    await until(lambda: peer.size > 0)
    for seq in range(81, 160):
        recent.append(update(seq))
    peer.read()
    with pytest.raises(FellBehind):
        await running
    assert peer.writes == 1


@pytest.mark.parametrize("state", ["ready", "reading", "held"])
async def test_a_replay_that_is_cancelled_leaves_nothing(state: str) -> None:
    """A connection that ends while its replay waits, whatever for, costs the others nothing."""
    recent, replays = history(100), new_replays()
    peer, other = Peer(reads=state != "reading"), Peer()
    allowance = Allowance(Clock(), burst=-1 if state == "held" else 0)
    if state == "held":
        allowance.begin("news")
    running = asyncio.create_task(replays.run(peer, since(recent, 0), FORM, allowance))
    await until(lambda: under_way(replays) == {state: 1}) if state != "ready" else await asyncio.sleep(0)
    assert under_way(replays) == {state: 1}
    running.cancel()
    await replays.run(other, since(recent, 0), FORM, Allowance())
    assert running.cancelled()
    assert under_way(replays) == {}
    assert (peer.writes, other.writes) == ({"ready": 0, "reading": 1, "held": 0}[state], 2)


async def test_an_error_ends_the_replay_that_it_belongs_to() -> None:
    """An update that can't be encoded fails its own replay, and no other."""
    recent, replays, peer = history(100), new_replays(), Peer()
    unsendable = Recent(10)
    unsendable.append(Update(Envelope("sentiment", "update", {"n": object()}, "t", "e", 1), b""))
    results = await asyncio.gather(
        replays.run(Peer(), since(unsendable, 0), FORM, Allowance()),
        replays.run(peer, since(recent, 0), FORM, Allowance()),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Fault", "NoneType"]
    assert peer.wire == wires(missed(recent, 0))


# The allowance


def test_the_first_replay_of_each_service_is_free() -> None:
    """Who comes back reads the whole history of every service at once; reading it again counts."""
    clock = Clock()
    allowance = Allowance(clock, burst=1000, rate=100)
    for service in ("news", "sentiment"):
        allowance.begin(service)
        allowance.take(1 << 30)
        assert allowance.wait() == 0
    allowance.begin("news")
    allowance.take(1000)
    assert allowance.wait() == 0
    allowance.take(50)
    assert allowance.wait() == 0.5
    allowance.begin("market_data")
    assert allowance.wait() == 0


@given(st.lists(st.tuples(st.integers(1, 100_000), st.floats(0, 2)), min_size=1, max_size=50))
def test_nobody_reads_more_than_the_allowance(takes: list[tuple[int, float]]) -> None:
    """Whenever a batch may be written, what was written before it is within the burst and the rate."""
    clock = Clock()
    allowance = Allowance(clock, burst=50_000, rate=10_000)
    allowance.begin("news")
    allowance.begin("news")
    total = 0
    for size, pause in takes:
        clock.now += pause
        clock.now += allowance.wait()
        assert allowance.wait() < 1e-6
        assert total <= 50_000 + 10_000 * (clock.now - 1000) + 0.01
        allowance.take(size)
        total += size


async def test_a_replay_beyond_the_allowance_is_held_not_refused() -> None:
    """It goes on as fast as the allowance is refilled, and arrives whole; another client's is not held."""
    recent, replays = history(640), new_replays()
    peer, other, updates = Peer(), Peer(), missed(recent, 0)
    size = len(wires(updates))
    allowance = Allowance(burst=0, rate=5 * size)
    allowance.begin("news")
    states: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    began = loop.time()
    running = asyncio.create_task(replays.run(peer, since(recent, 0), FORM, allowance))
    await replays.run(other, since(recent, 0), FORM, Allowance())
    assert not running.done()
    await until(lambda: bool(states.update(under_way(replays))) or running.done())
    assert states["held"] > 0
    assert peer.wire == other.wire == wires(updates)
    assert loop.time() - began >= 0.9 * 0.2 * 9 / 10
