"""Compressed updates: whatever a client misses, joins and leaves, a real inflater decodes every message it is sent."""

from __future__ import annotations

import asyncio
import random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broadcast.compression import Window
from gateway.broadcast.hub import Hub
from gateway.broadcast.outbox import Outbox
from gateway.filters.filter import Filter
from gateway.frames import Buffer, Form, Frame
from gateway.updates import Update
from gateway.waiting import Waiting
from shared.envelope import Envelope
from shared.metrics import GatewayMetrics, open_registry
from tests.gateway.inflating import decoded

SERVICES = ("news", "sentiment", "market_data")
FORMS = (Form.TEXT, Form.TEXT_META, Form.PACKED)


class Kind(NamedTuple):
    """What a client negotiated."""

    bits: int = 15
    takeover: bool = True
    compresses: bool = True


SHARES = Kind()
KINDS = (SHARES, Kind(takeover=False), Kind(bits=9), Kind(bits=12, takeover=False), Kind(compresses=False))


class Skipping(Outbox):
    """An outbox that skips buffers of updates on request."""

    __slots__ = ("skips",)

    def offer(self, buffer: Buffer) -> None:
        if getattr(self, "skips", 0) and all(frame.service for frame in buffer.frames):
            self.skips -= 1
            if self.window is not None:
                self.window.restart()
        else:
            super().offer(buffer)


FILTERS: tuple[dict[str, Filter], ...] = (
    {},
    {"news": Filter("news", {"fields": ["n"]})},
    {service: Filter(service, {"fields": ["pad"]}) for service in SERVICES},
)


class Client:
    """A session and its socket, as far as a hub knows them, and what the client receives."""

    def __init__(self, kind: Kind = SHARES, form: Form = Form.TEXT, *, compresses: bool = True) -> None:
        self.kind = kind
        self.form = form
        self.filters: dict[str, Filter] = {}
        self.ready = True
        self.skipped = False
        self.wire = b""
        self.sent: list[bytes] = []
        """The messages in `wire`, as they were before compression."""
        self.outbox = Skipping(
            self,
            messages=10_000,
            size=1 << 28,
            close_slow=lambda dropped: None,
            budget=Waiting(),
            window=Window(kind.bits, takeover=kind.takeover) if compresses and kind.compresses else None,
        )

    def write_buffer(self, buffer: Buffer) -> None:
        """The socket takes `buffer`."""
        self.wire += buffer.wire
        self.sent += [frame.payload for frame in buffer.frames]

    def skip(self, buffers: int) -> None:
        """Of the next buffers of updates, send none."""
        self.skipped = self.skipped or buffers > 0
        self.outbox.skips = buffers

    def decode(self) -> list[bytes]:
        """What its inflater makes of all that it was sent."""
        return decoded(self.wire, self.kind.bits, takeover=self.kind.takeover)


def new_hub(**options: Any) -> Hub:
    return Hub(SERVICES, 100, GatewayMetrics(open_registry()), **({"kept": 1 << 20} | options))


def update(service: str, seq: int, size: int, text: int = 0) -> Update:
    """An update with one of some texts that do not compress, so that it can only refer to an earlier one."""
    pad = random.Random(text).randbytes(size // 2).hex()
    return Update(Envelope(service, "update", {"n": seq, "pad": pad}, "t", "e", seq), b"")


async def turn() -> None:
    await asyncio.sleep(0)


Step = tuple[str, int, int]
CLIENTS = 7
who = st.integers(0, CLIENTS - 1)
broadcasts = st.tuples(
    st.just("broadcast"), st.integers(0, 11), st.sampled_from([0, 40, 3_000, 11_000, 11_000, 18_000, 40_000])
)
turns = st.tuples(st.just("turn"), st.just(0), st.just(0))
steps = st.lists(
    st.one_of(
        broadcasts,
        turns,
        st.tuples(st.just("want"), who, st.sampled_from([0, 1, 4, 4, 5, 7, 7])),
        broadcasts,
        turns,
        st.tuples(st.sampled_from(["form", "filter", "say", "snapshot", "replay"]), who, st.integers(0, 2)),
        broadcasts,
        turns,
        st.tuples(st.sampled_from(["skip", "stall", "stall", "resume", "every", "latest"]), who, st.integers(1, 2)),
    ),
    max_size=70,
)


async def played(script: list[Step], kinds: list[Kind], *, compresses: bool = True, **options: Any) -> list[Client]:
    """The clients after the script."""
    hub, seqs = new_hub(streams=2, writes=3, slice_seconds=0, **options), dict.fromkeys(SERVICES, 0)
    clients = [Client(kind, FORMS[n % 7 // 3], compresses=compresses) for n, kind in enumerate(kinds)]
    wants: list[frozenset[str]] = [frozenset(SERVICES)] * len(clients)
    for client in clients[:5]:
        hub.want(client, SERVICES)
    for kind, number, what in script:
        client = clients[number % len(clients)]
        match kind:
            case "want":
                wants[number] = frozenset(service for bit, service in enumerate(SERVICES) if what >> bit & 1)
                hub.want(client, wants[number])
            case "form":
                client.form = FORMS[what]
                hub.want(client, wants[number])
            case "filter":
                client.filters = FILTERS[what]
                hub.want(client, wants[number])
            case "say":
                hub.settle(client)
                client.outbox.offer(Frame(b"reply %d " % what * 20, binary=False))
            case "snapshot":
                hub.settle(client)
                hub.send_latest(client, SERVICES[what])
            case "replay":
                hub.settle(client)
                for each in list(hub.recent[SERVICES[what]].updates)[-3:]:
                    client.outbox.offer(each.frame(client.form, client.filters.get(SERVICES[what])))
            case "every" | "latest":
                client.outbox.delivery.choose((SERVICES[what],), kind)
                hub.want(client, wants[number])
            case "skip":
                client.skip(what)
            case "stall":
                client.ready = False
            case "resume":
                client.ready = True
                hub.drain(client)
            case "broadcast":
                service, text = SERVICES[number % 3], number // 3
                seqs[service] += 1
                hub.broadcast(update(service, seqs[service], what, text))
            case _:
                await turn()
    for _ in range(30):
        await turn()
    for client in clients:
        client.ready = True
        hub.drain(client)
    return clients


@pytest.mark.slow  # it tries many scripts
@given(script=steps, kinds=st.lists(st.sampled_from((SHARES, SHARES, *KINDS)), min_size=CLIENTS, max_size=CLIENTS))
@settings(max_examples=300, deadline=None)
def test_every_client_decodes_what_it_would_be_sent_plain(script: list[Step], kinds: list[Kind]) -> None:
    """With clients that join, leave, change what they want, get replies and replays, read slowly and skip: no message
    differs.

    Each client has an inflater with the window that it negotiated, for the connection's life.
    """
    for options in ({}, {"joins": False}):
        plain = asyncio.run(played(script, kinds, compresses=False, **options))
        for client, reference in zip(asyncio.run(played(script, kinds, **options)), plain, strict=True):
            assert client.decode() == client.sent
            if not client.skipped:  # by buffers, which hold fewer or more updates
                assert client.sent == reference.sent


async def broadcast(hub: Hub, *updates: Update) -> None:
    """All of them in one turn."""
    for each in updates:
        hub.broadcast(each)
    await turn()


def joined(hub: Hub, *clients: Client) -> list[Client]:
    """`clients`, which want news from now on."""
    for client in clients:
        hub.want(client, ("news",))
    return list(clients)


async def test_the_first_clients_of_a_cohort_share_its_stream_from_the_first_update() -> None:
    """The second update refers to the first; both are compressed once for all."""
    hub = new_hub()
    clients = joined(hub, Client(), Client(), Client())
    await broadcast(hub, update("news", 1, 10_000))
    first = len(clients[0].wire)
    await broadcast(hub, update("news", 2, 10_000))
    assert len(clients[0].wire) - first < 200 < 4_000 < first
    assert len({client.wire for client in clients}) == 1
    assert clients[0].decode() == clients[0].sent


@pytest.mark.parametrize("size", [600, 10_000, 40_000])
async def test_a_latecomer_shares_the_stream_once_its_window_is_full(size: int) -> None:
    """Until 32 KiB have been sent to it, it gets each update by itself; then the bytes that everybody gets."""
    hub = new_hub()
    (early,) = joined(hub, Client())
    await broadcast(hub, update("news", 1, size))
    (late,) = joined(hub, Client())
    same, full = [], []
    for seq in range(2, 65_536 // size + 5):
        before = len(early.wire), len(late.wire)
        full.append(sum(map(len, late.sent)) >= 32_768)
        await broadcast(hub, update("news", seq, size))
        same.append(early.wire[before[0] :] == late.wire[before[1] :])
    assert same == full
    assert late.decode() == late.sent == early.sent[1:]


async def test_who_skipped_an_update_is_a_latecomer() -> None:
    """It gets updates by itself, and the others go on with the stream."""
    hub = new_hub()
    one, other = joined(hub, Client(), Client())
    for seq in range(1, 15):
        one.skip(seq == 5)
        before = len(one.wire), len(other.wire)
        await broadcast(hub, update("news", seq, 10_000, text=seq % 3))
        if seq != 5:
            same = one.wire[before[0] :] == other.wire[before[1] :]
            assert same == (seq < 5 or seq > 9)
    assert one.decode() == one.sent == [*other.sent[:4], *other.sent[5:]]
    assert other.decode() == other.sent


async def test_a_stream_that_nobody_can_read_begins_anew() -> None:
    """The only client skipped an update: after one update by itself, the next ones share memory again."""
    hub = new_hub()
    (client,) = joined(hub, Client())
    sizes = []
    for seq in range(1, 9):
        client.skip(seq == 3)
        before = len(client.wire)
        await broadcast(hub, update("news", seq, 10_000, text=seq == 3))
        sizes.append(len(client.wire) - before)
    assert [size < 200 for size in sizes] == [False, True, True, False, False, True, True, True]
    assert sizes[2] == 0
    assert client.decode() == client.sent


async def test_what_follows_a_skipped_buffer_in_the_same_turn_does_not_refer_to_it() -> None:
    """A turn's updates may be several buffers, of which a slow client skips the first."""
    hub = new_hub()
    one, other = joined(hub, Client(), Client())
    one.skip(1)
    await broadcast(hub, *(update("news", seq, 60_000, text=seq) for seq in range(1, 4)), update("news", 4, 20_000, 3))
    assert one.outbox.skips == 0
    assert 0 < len(one.sent) < 4 == len(other.sent)
    await broadcast(hub, update("news", 5, 20_000, 3))
    for client in (one, other):
        assert client.decode() == client.sent


async def test_a_bounded_number_of_cohorts_have_a_stream() -> None:
    """Others get each update by itself, until a cohort with a stream ends, or until they have twice as many clients."""

    async def sharing(*clients: Client) -> list[bool]:
        nonlocal seq
        found = []
        for _ in range(2):
            seq += 1
            before = [len(client.wire) for client in clients]
            await broadcast(hub, *(update(service, seq, 10_000) for service in SERVICES))
            found = [len(client.wire) - size < 1_000 for client, size in zip(clients, before, strict=True)]
        return found

    hub, seq = new_hub(streams=2), 0
    clients = [Client() for _ in SERVICES]
    for client, service in zip(clients, SERVICES, strict=True):
        hub.want(client, (service,))
    assert await sharing(*clients) == [True, True, False]
    hub.want(clients[0], ())
    assert await sharing(*clients[1:]) == [True, True]
    hub.want(clients[0], ("news",))
    assert await sharing(*clients) == [False, True, True]
    more = Client()
    hub.want(more, ("news",))
    assert sum(await sharing(*clients, more)) == 3
    assert all(client.decode() == client.sent for client in (*clients, more))


async def test_a_cohort_without_such_clients_has_no_stream() -> None:
    """Plain clients and those with small windows or without memory need none; it ends with the last that does."""
    hub = new_hub()
    sharing, *_ = joined(hub, *(Client(kind) for kind in KINDS))
    await broadcast(hub, update("news", 1, 100))
    assert hub.streams == 1
    hub.want(sharing, ())
    assert hub.streams == 0
    await broadcast(hub, update("news", 2, 100))
    assert hub.streams == 0


@pytest.mark.parametrize("joins", [True, False])
async def test_bytes_are_counted_as_they_are_and_as_they_would_be(joins: bool) -> None:
    """Of updates to clients with compression only; the rest could not be smaller."""
    hub = new_hub(joins=joins, writes=3)
    *compressing, plain = joined(hub, *(Client(SHARES) for _ in range(5)), *map(Client, KINDS))
    for seq in range(1, 4):
        await broadcast(hub, update("news", seq, 10_000), update("news", 10 + seq, 0))
    await broadcast(hub, *(update("news", 20 + seq, 60_000, text=seq) for seq in range(3)))  # more than one buffer
    for _ in range(5):
        await turn()
    assert hub._metrics.sent_bytes._value.get() == sum(len(client.wire) for client in compressing)
    assert hub._metrics.plain_bytes._value.get() == len(compressing) * len(plain.wire)


@pytest.mark.parametrize("kind", KINDS)
async def test_tiny_updates_go_plain_and_do_not_count(kind: Kind) -> None:
    """Below the smallest message nothing is compressed, whatever was negotiated; what follows decodes."""
    hub = new_hub()
    (client,) = joined(hub, Client(kind))
    for n in range(4):
        tiny = Frame(b"{}", binary=False)
        (cohort,) = hub._wanting["news"]
        hub._add(cohort, tiny)
        await broadcast(hub, update("news", n, 10_000))
    assert client.wire.count(tiny.wire) == 4
    assert client.decode() == client.sent
