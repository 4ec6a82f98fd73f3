"""Filtered updates in a gateway: built once per filter, bounded in memory, a little in each turn, charged for."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import weakref
from collections.abc import Sequence
from typing import Any

import msgpack
import msgspec
import pytest
from msgspec import UNSET

from benchmarks.payloads import market_data
from gateway.broadcast.batches import Batches
from gateway.broadcast.hub import Hub
from gateway.broadcast.outbox import Outbox
from gateway.broadcast.replays import Allowance, Replays
from gateway.filters.filter import Filter
from gateway.filters.reading import read_filter
from gateway.frames import Buffer, Form
from gateway.messages.actions import Subscribe
from gateway.updates import Filtered, Update
from gateway.waiting import Waiting
from shared.bus import Position
from shared.coins import Coins
from shared.envelope import Envelope, pack_draft
from shared.metrics import GatewayMetrics, open_registry
from tests.gateway.line import Line
from tests.waiting import until

SERVICE = "market_data"
TIME = "2025-11-11T10:30:00.000Z"
SOURCES = ("coingecko", "binance", "coinbase", "kraken")
COINS = next(market_data())["prices"]


@functools.cache
def walk() -> Sequence[dict[str, Any]]:
    """Some updates of a hundred coins."""
    return tuple(itertools.islice(market_data(), 20))


def data_of(seq: int) -> dict[str, Any]:
    """One of them, as the service has it in a deployment."""
    found = walk()[seq % 20]
    more = {"price_spread_bps": dict.fromkeys(COINS, 12.34), "disputed": {}, "source": ", ".join(SOURCES)}
    return found | more | {"as_of": dict.fromkeys(SOURCES, TIME)}


def update(seq: int, data: dict[str, Any] | None = None) -> Update:
    """Number `seq` of the service."""
    raw = pack_draft(SERVICE, {"prices": {"a": seq, "b": -seq}} if data is None else data, TIME)
    raw += msgpack.packb("epoch") + msgpack.packb("5f2b9c81d04e7a63") + msgpack.packb("seq") + msgpack.packb(seq)
    return Update(Envelope.unpack(raw), raw)


def only(*coins: str, **more: Any) -> Filter:
    """The filter of some coins."""
    return read_filter((SERVICE,), {"coins": list(coins)} | more, Coins())[SERVICE]


class Counted(Filter):
    """Counts how often it was applied."""

    applied = 0

    def apply(self, data: dict[str, Any]) -> dict[str, Any]:
        self.applied += 1
        return super().apply(data)


class Subscriber:
    """A session and its socket, as far as a hub knows them."""

    def __init__(self, wanted: Filter | None, form: Form = Form.TEXT) -> None:
        self.form = form
        self.filters = {} if wanted is None else {SERVICE: wanted}
        self.ready = True
        self.messages: list[dict[str, Any]] = []
        self.outbox = Outbox(self, messages=1000, size=1 << 20, close_slow=lambda dropped: None, budget=Waiting())

    def write_buffer(self, buffer: Buffer) -> None:
        """The socket takes it."""
        self.messages += [msgspec.json.decode(frame.payload) for frame in buffer.frames]

    @property
    def prices(self) -> list[dict[str, float]]:
        """Of every update."""
        return [message["data"]["prices"] for message in self.messages]


def new_hub(**options: Any) -> Hub:
    return Hub((SERVICE, "system"), 100, GatewayMetrics(open_registry()), **({"kept": 1 << 20} | options))


async def test_each_filter_is_applied_once_per_update_and_form() -> None:
    """However many clients have it, in however many cohorts, live and on subscribe."""
    hub, wanted = new_hub(), Counted(SERVICE, {"coins": ["a"]})
    clients = [Subscriber(wanted) for _ in range(6)]
    for number, client in enumerate(clients):
        hub.want(client, (SERVICE, "system") if number % 2 else (SERVICE,))
    hub.broadcast(update(1))
    await asyncio.sleep(0)
    late = Subscriber(wanted)
    hub.want(late, (SERVICE,))
    hub.send_latest(late, SERVICE)
    assert [client.prices for client in (*clients, late)] == [[{"a": 1}]] * 7
    assert (wanted.applied, hub.cohorts) == (1, 2)


async def test_clients_with_equal_filters_are_one_cohort() -> None:
    """Also where they were written in another order."""
    hub, coins = new_hub(), ["a", "b"]
    for names in (coins, coins[::-1], [*coins, *coins]):
        hub.want(Subscriber(only(*names)), (SERVICE,))
    assert hub.cohorts == 1
    hub.want(Subscriber(None), (SERVICE,))
    hub.want(Subscriber(only("a")), (SERVICE,))
    assert hub.cohorts == 3


async def test_many_filters_take_many_turns_and_hold_up_nobody() -> None:
    """With a filter per client, `broadcast` builds nothing, and one turn of the loop serves some of them."""
    hub = new_hub(slice_seconds=0)
    clients = [Subscriber(only("a", str(number))) for number in range(300)]
    for client in clients:
        hub.want(client, (SERVICE,))
    plain = Subscriber(None)
    hub.want(plain, ("system",))
    hub.broadcast(update(1))
    assert hub.filtered.used == 0
    await asyncio.sleep(0)
    assert 0 < sum(bool(client.messages) for client in clients) < 50
    hub.broadcast(update(2))
    await until(lambda: all(len(client.messages) == 2 for client in clients))
    assert all(client.prices == [{"a": 1}, {"a": 2}] for client in clients)


async def test_a_slow_client_gets_the_newest_update_filtered() -> None:
    """What was postponed is sent as the client wants it, and counts what it stands for."""
    hub, client = new_hub(), Subscriber(only("a"), Form.TEXT_META)
    client.outbox.delivery.choose((SERVICE,), "latest")
    hub.want(client, (SERVICE,))
    client.ready = False
    for seq in (1, 2, 3):
        hub.broadcast(update(seq))
        await asyncio.sleep(0)
    assert not client.messages
    client.ready = True
    hub.drain(client)
    (message,) = client.messages
    assert (message["data"]["prices"], message["meta"]["skipped"]) == ({"a": 3}, 2)


@pytest.mark.parametrize("services", [(), (SERVICE,)], ids=["unsubscribe", "every"])
@pytest.mark.parametrize("later", [None, only("b")], ids=["whole", "another"])
async def test_what_was_postponed_before_a_command_has_the_filter_of_before(
    services: tuple[str, ...], later: Filter | None
) -> None:
    """It comes before the reply. A client that unsubscribes, or wants every update from now on, gets nothing more."""
    hub, client = new_hub(), Subscriber(only("a"))
    client.outbox.delivery.choose((SERVICE,), "latest")
    hub.want(client, (SERVICE,))
    client.ready = False
    hub.broadcast(update(1))
    await asyncio.sleep(0)
    client.filters = {} if later is None else {SERVICE: later}
    client.outbox.delivery.choose((SERVICE,), "every")
    hub.want(client, services)
    client.ready = True
    hub.drain(client)
    assert client.prices == [{"a": 1}]


def test_frames_are_kept_within_their_bytes() -> None:
    """Those of the oldest update go first; what was dropped is built again, and is the same."""
    room = Filtered(size=20_000)
    updates = [update(seq) for seq in range(1, 4)]
    for each in updates:
        each.keep_filtered(room)
    filters = [only("a", str(number)) for number in range(15)]
    for each in updates:
        for wanted in filters:
            each.frame(Form.TEXT, wanted)
            assert room.used <= 20_000
    first, last = updates[0], updates[-1]
    assert last.frame(Form.TEXT, filters[-1]) is last.frame(Form.TEXT, filters[-1])
    before = room.used
    again = first.frame(Form.TEXT, filters[0])
    assert room.used != before
    assert msgspec.json.decode(again.payload)["data"]["prices"] == {"a": 1}


async def test_caches_keep_no_filter() -> None:
    """A filter of hundreds of values takes more than its frame, and clients may ask for ever new ones."""
    hub, batches, asked = new_hub(), Batches(), []
    hub.broadcast(update(1))
    for number in range(3):
        wanted = Counted(SERVICE, {"coins": ["a", str(number)]})
        client = Subscriber(wanted)
        hub.want(client, (SERVICE,))
        hub.send_latest(client, SERVICE)
        hub.want(client, ())
        batches.first([update(1)], Form.TEXT_RECOVERED, wanted)
        asked.append(weakref.ref(wanted))
        del wanted, client
    assert (hub.filtered.used > 0, len(batches)) == (True, 3)
    gc.collect()
    assert [each() for each in asked] == [None] * 3


async def test_nothing_is_kept_of_updates_that_are_not_new() -> None:
    """Of the newest sixteen at most, as of frames without a filter."""
    hub, client = new_hub(), Subscriber(only("a"))
    hub.want(client, (SERVICE,))
    for seq in range(1, 41):
        hub.broadcast(update(seq))
        await asyncio.sleep(0)
        if seq == 16:
            most = hub.filtered.used
    assert 0 < hub.filtered.used <= most * 1.1
    assert client.prices == [{"a": seq} for seq in range(1, 41)]


def test_an_update_is_decoded_once_for_all_filters() -> None:
    """Replays of many filters side by side: an older update is decoded again only when others were meanwhile."""
    room, each = Filtered(), update(1)
    decoded = room.decode(each, each._raw)
    assert decoded.seq == 1
    assert room.decode(each, b"is not read") is decoded
    small, some = Filtered(decoded=3 * each.size), [update(seq) for seq in range(1, 10)]
    for other in some:
        small.decode(other, other._raw)
    assert len(small._decoded) == 3


async def test_batches_are_each_filters_own() -> None:
    """And those who missed the same, with the same filter, share them."""
    recent, batches = new_hub().recent[SERVICE], Batches()
    for seq in range(1, 33):
        recent.append(update(seq))
    missed = recent.since(Position("5f2b9c81d04e7a63", 16))
    assert missed is not None
    found = {name: batches.first(missed, Form.TEXT_RECOVERED, only(name)) for name in "aba"}
    assert batches.built == 2
    for name, batch in found.items():
        prices = [msgspec.json.decode(frame.payload)["data"]["prices"] for frame in batch.buffer.frames]
        assert prices == [{name: seq if name == "a" else -seq} for seq in range(17, 33)]


async def test_what_a_filter_leaves_out_of_a_replay_is_charged() -> None:
    """A replay costs the bytes that were read for it; without a filter those that are sent."""
    recent = new_hub().recent[SERVICE]
    whole = data_of(1)
    for seq in range(1, 17):
        recent.append(update(seq, whole))
    missed = recent.since(Position("5f2b9c81d04e7a63", 0))
    assert missed is not None
    batches, read = Batches(), sum(each.size for each in missed)
    filtered = batches.first(missed, Form.TEXT_RECOVERED, only("nobody", fields=["timestamp"]))
    assert (filtered.updates, filtered.cost) == (16, read)
    assert len(filtered.buffer.wire) < read / 20
    plain = batches.first(missed, Form.TEXT_RECOVERED)
    assert plain.cost == len(plain.buffer.wire)


async def test_tiny_filters_are_held_as_long_as_everything() -> None:
    """A connection that asks again and again waits for its allowance, however little it is sent."""
    hub = new_hub()
    for seq in range(1, 17):
        hub.recent[SERVICE].append(update(seq, data_of(1)))
    replays, now = Replays(GatewayMetrics(open_registry())), [1000.0]
    allowance = Allowance(lambda: now[0], burst=100_000, rate=1.0)
    client = Subscriber(None)

    async def run(number: int) -> None:
        missed = hub.recent[SERVICE].since(Position("5f2b9c81d04e7a63", 0))
        assert missed is not None
        await replays.run(client.outbox, missed, Form.TEXT_RECOVERED, allowance, only(str(number)))

    await run(0)  # the first of a service is free
    await run(1)
    held = asyncio.create_task(run(2))
    await until(lambda: replays.count("held") == 1)
    assert len(client.messages) == 32
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)


async def test_the_memory_of_filters_counts_as_what_waits_for_the_client() -> None:
    """As long as they are kept: clients with large ones are closed for it where the gateway's budget is used up."""
    line = Line(meta=True)
    assert line.waiting.used == 0
    sizes = []
    for values in (250, 10, None):
        wanted = None if values is None else {"coins": [str(number) for number in range(values)]}
        line.session.subscriptions.subscribe(Subscribe(asked=SERVICE, filter=wanted or UNSET))
        sizes.append(line.waiting.used)
    assert sizes[0] > 20 * sizes[1] > 20_000 > sizes[2] == 0
    line.session.subscriptions.subscribe(Subscribe(asked="all", filter={"fields": ["timestamp"]}))
    assert line.waiting.used > 0
    line.session.lost()
    assert line.waiting.used == 0


FIVE = ("bitcoin", "ethereum", "tether", "binancecoin", "solana")
MAPS = ["prices", "volumes", "market_caps", "price_changes"]


@pytest.mark.parametrize("form", [Form.TEXT, Form.TEXT_META])
@pytest.mark.parametrize(("wanted", "most"), [(only(*FIVE, fields=MAPS), 900), (only(*FIVE), 1100)])
def test_five_coins_of_a_hundred_are_a_small_update(form: Form, wanted: Filter, most: int) -> None:
    """All their figures take at most 900 bytes; with spread, sources and their moments 1,100; all coins 11 kB."""
    for seq in range(20):
        each = update(123_456, data_of(seq))
        assert each.frame(form).size > 11_000
        assert len(each.frame(form, wanted).payload) <= most
