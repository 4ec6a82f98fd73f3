"""Cohorts and the hub: whatever joins, leaves and is broadcast, the same frames in the same order as one by one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broadcast.cohorts import Cohort, Wanted
from gateway.broadcast.compression import Streams
from gateway.broadcast.hub import Hub
from gateway.broadcast.outbox import Outbox
from gateway.filters.filter import Filter
from gateway.frames import Buffer, Form, Frame, join
from gateway.updates import Update
from gateway.waiting import Waiting
from shared.envelope import Envelope
from shared.metrics import GatewayMetrics, open_registry

SERVICES = ("news", "sentiment", "market_data")
FORMS = (Form.TEXT, Form.TEXT_META, Form.PACKED)
FILTERS: tuple[dict[str, Filter], ...] = (
    {},
    {"news": Filter("news", {"fields": ["n"]})},
    {service: Filter(service, {"fields": ["pad"]}) for service in SERVICES},
)


class Receiver:
    """Notes what it is given, and in how many writes."""

    window = None

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.writes = 0

    def offer(self, buffer: Buffer) -> None:
        self.frames.extend(buffer.frames)
        self.writes += 1


class Plug:
    """A socket that takes everything."""

    ready = True

    def __init__(self) -> None:
        self.wire = b""
        self.writes = 0

    def write_buffer(self, buffer: Buffer) -> None:
        self.wire += buffer.wire
        self.writes += 1


class Subscriber:
    """A session, as far as a hub knows it."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.filters: dict[str, Filter] = {}
        self.plug = Plug()
        self.outbox = Outbox(self.plug, messages=1000, size=1 << 20, close_slow=lambda dropped: None, budget=Waiting())


def new_hub(**options: Any) -> Hub:
    return Hub(SERVICES, 100, GatewayMetrics(open_registry()), **({"kept": 1 << 20} | options))


def new_cohort() -> Cohort:
    return Cohort(Wanted(Form.TEXT, frozenset(SERVICES)), Streams())


def update(service: str, seq: int, size: int = 0) -> Update:
    return Update(Envelope(service, "update", {"n": seq, "pad": "x" * size}, "t", "e", seq), b"")


def frames(count: int, size: int = 1) -> list[Frame]:
    return [Frame(str(n).encode() * size, binary=False) for n in range(count)]


def test_frames_are_joined_in_order_up_to_what_a_transport_holds() -> None:
    """One buffer where they fit, more where they don't, none torn; a frame that is larger alone goes alone."""
    some = frames(10)
    assert [buffer.wire for buffer in join(some)] == [b"".join(frame.wire for frame in some)]
    assert join(some[:1]) == [some[0]]
    large = [*frames(5, 30_000), *frames(1, 200_000), *frames(2)]
    buffers = join(large)
    assert [frame for buffer in buffers for frame in buffer.frames] == large
    assert all(len(buffer.wire) <= 65_536 or len(buffer.frames) == 1 for buffer in buffers)
    assert len(buffers) < len(large)


def test_a_round_that_is_cut_into_slices_gives_everybody_everything_once() -> None:
    """Who comes late in a round gets what was added meanwhile in the same write; who came early gets it after."""
    cohort, some = new_cohort(), frames(3)
    everybody = [Receiver() for _ in range(5)]
    for receiver in everybody:
        cohort.enter(receiver)
    cohort.add(some[0])
    assert cohort.deliver(2) == 2
    cohort.add(some[1])
    assert [cohort.deliver(4), cohort.deliver(4)] == [4, 1]
    assert [receiver.frames for receiver in everybody] == [some[:2]] * 5
    assert [receiver.writes for receiver in everybody] == [2, 2, 1, 1, 1]
    assert cohort.deliver(4) == 0
    assert cohort.size == 0


def test_leaving_gives_what_was_added_before() -> None:
    """A receiver that leaves between an update and its delivery has it, and nothing after."""
    cohort, some, receiver = new_cohort(), frames(2), Receiver()
    cohort.enter(receiver)
    cohort.add(some[0])
    cohort.leave(receiver)
    cohort.add(some[1])
    cohort.deliver()
    assert receiver.frames == some[:1]


async def test_updates_of_one_turn_are_one_write_per_subscriber() -> None:
    """Twelve updates that arrive together cost each subscriber one write; the next turn's are another."""
    hub, subscribers = new_hub(), [Subscriber(Form.TEXT) for _ in range(3)]
    for subscriber in subscribers:
        hub.want(subscriber, SERVICES)
    assert hub.cohorts == 1
    for seq in range(1, 5):
        for service in SERVICES:
            hub.broadcast(update(service, seq))
    assert [subscriber.plug.writes for subscriber in subscribers] == [0, 0, 0]
    await asyncio.sleep(0)
    assert [subscriber.plug.writes for subscriber in subscribers] == [1, 1, 1]
    hub.broadcast(update("news", 5))
    await asyncio.sleep(0)
    assert [subscriber.plug.writes for subscriber in subscribers] == [2, 2, 2]


async def test_a_turn_with_many_subscribers_is_cut_into_slices() -> None:
    """A turn whose time is over goes on in the next; all have it a few turns later, the first comers first."""
    hub, subscribers = new_hub(slice_seconds=0, writes=500), [Subscriber(Form.TEXT) for _ in range(1200)]
    for subscriber in subscribers:
        hub.want(subscriber, ("news",))
    hub.broadcast(update("news", 1))
    reached = []
    for _ in range(3):
        await asyncio.sleep(0)
        reached.append(sum(subscriber.plug.writes for subscriber in subscribers))
    assert reached == [500, 1000, 1200]
    assert all(subscriber.plug.writes == 1 for subscriber in subscribers)


@pytest.mark.parametrize("kept", [-1, 100])
async def test_a_cohort_keeps_a_bounded_backlog(kept: int) -> None:
    """Beyond its bytes everybody is given what waits at once, so that it never grows with what is published."""
    hub, subscriber = new_hub(kept=kept), Subscriber(Form.TEXT)
    hub.want(subscriber, ("news",))
    hub.broadcast(update("news", 1, size=200))
    assert subscriber.plug.writes == 1


async def test_what_is_said_between_comes_in_its_place() -> None:
    """`settle` sends what was broadcast before, so that a reply comes after it."""
    hub, subscriber = new_hub(), Subscriber(Form.TEXT)
    hub.want(subscriber, ("news",))
    first, reply = update("news", 1), Frame(b"{}", binary=False)
    hub.broadcast(first)
    hub.settle(subscriber)
    subscriber.outbox.offer(reply)
    await asyncio.sleep(0)
    assert subscriber.plug.wire == first.frame(Form.TEXT).wire + reply.wire


async def test_a_delivery_that_fails_is_raised_to_whoever_runs_the_hub() -> None:
    """The gateway then stops with a reason: it never lives on with clients that hear nothing."""

    class Broken(Plug):
        def write_buffer(self, buffer: Buffer) -> None:
            raise RuntimeError("no socket")

    hub, subscriber = new_hub(), Subscriber(Form.TEXT)
    subscriber.outbox = Outbox(Broken(), messages=10, size=1000, close_slow=lambda dropped: None, budget=Waiting())
    hub.want(subscriber, ("news",))
    running = asyncio.create_task(hub.run())
    hub.broadcast(update("news", 1))
    with pytest.raises(RuntimeError, match="no socket"):
        await asyncio.wait_for(running, 5)


Step = tuple[str, int, int]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.integers(0, 5), st.integers(0, 7)),
        st.tuples(st.sampled_from(["form", "filter"]), st.integers(0, 5), st.integers(0, 2)),
        st.tuples(st.just("say"), st.integers(0, 5), st.integers(0, 9)),
        st.tuples(st.just("broadcast"), st.integers(0, 2), st.sampled_from([0, 10, 40_000])),
        st.tuples(st.just("turn"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


async def played(script: list[Step], **options: Any) -> list[bytes]:
    """What each of six subscribers has on its wire after the script."""
    hub, subscribers, seq = new_hub(**options), [Subscriber(FORMS[n % 3]) for n in range(6)], 0
    wants: list[frozenset[str]] = [frozenset()] * 6
    for kind, who, what in script:
        if kind == "want":
            wants[who] = frozenset(service for bit, service in enumerate(SERVICES) if what >> bit & 1)
            hub.want(subscribers[who], wants[who])
        elif kind == "form":
            subscribers[who].form = FORMS[what]
            hub.want(subscribers[who], wants[who])
        elif kind == "filter":
            subscribers[who].filters = FILTERS[what]
            hub.want(subscribers[who], wants[who])
        elif kind == "say":
            hub.settle(subscribers[who])
            subscribers[who].outbox.offer(Frame(b"reply %d" % what, binary=False))
        elif kind == "broadcast":
            seq += 1
            hub.broadcast(update(SERVICES[who], seq, size=what))
        else:
            await asyncio.sleep(0)
    for _ in range(3):
        await asyncio.sleep(0)
    return [subscriber.plug.wire for subscriber in subscribers]


@given(script=steps)
@settings(max_examples=200, deadline=None)
def test_joined_or_one_by_one_the_same_bytes_are_sent(script: list[Step]) -> None:
    """With clients that join, leave, change what they want or get replies, the bytes equal those without cohorts'
    buffers."""
    assert asyncio.run(played(script)) == asyncio.run(played(script, joins=False))
