"""Heartbeats: what subscribers of `system` are sent about every service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgpack
import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from gateway.app import create_app
from gateway.broadcast.heartbeat import Heart
from gateway.broadcast.hub import Hub
from gateway.broadcast.outbox import Outbox
from gateway.broadcast.recent import NOTHING_YET
from gateway.filters.filter import Filter
from gateway.frames import Buffer, Form, Frame
from gateway.updates import Update
from gateway.waiting import Waiting
from shared.catalog import CHANNEL_NAMES, SERVICES, STALE_INTERVALS
from shared.envelope import Envelope
from shared.metrics import GatewayMetrics, open_registry
from shared.payloads import Heartbeat
from shared.settings import Settings
from shared.timestamps import iso
from tests.contract.conftest import Client, Cluster, running

BEGAN = 1_762_857_000.0


class Clock:
    """A clock that stands until it is moved."""

    now = BEGAN

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def beating(settings: Settings) -> AsyncIterator[Cluster]:
    """Two gateways that send a heartbeat every 50 ms."""
    async with running(settings, heartbeat=0.05) as cluster:
        yield cluster


class Plug:
    """A socket that takes everything."""

    ready = True

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def write_buffer(self, buffer: Buffer) -> None:
        self.frames.extend(buffer.frames)


class Subscriber:
    """A session, as far as a hub knows it."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.filters: dict[str, Filter] = {}
        self.plug = Plug()
        self.outbox = Outbox(self.plug, messages=100, size=1 << 20, close_slow=lambda dropped: None, budget=Waiting())


async def beat(client: Client) -> dict[str, Any]:
    """The next heartbeat."""
    while True:
        message = await client.next()
        if message["type"] == "update" and message["data"].get("event") == "heartbeat":
            return message


async def test_subscribers_of_system_get_heartbeats(beating: Cluster) -> None:
    """An update of `system` with the position, age and staleness of every service; without `meta`, whoever asks."""
    transport = httpx.ASGITransport(app=create_app(beating.nodes[0]))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        document = (await http.get("/asyncapi.json")).json()
    payload = document["components"]["messages"]["heartbeat"]["payload"]
    documented = Draft202012Validator({**payload, "components": document["components"]})
    await beating.publish("news", 3)
    for path in ("/ws/data", "/ws/data?meta=1"):
        client = await beating.connect(path)
        await client.say(action="subscribe", service="system")
        message = await beat(client)
        documented.validate(message)
        assert set(message) == {"service", "type", "data", "timestamp"}
        assert (message["service"], message["type"]) == ("system", "update")
        services = msgspec.convert(message["data"], Heartbeat).services
        assert set(services) == set(CHANNEL_NAMES)
        latest = beating.nodes[0].hub.recent["news"].latest
        assert latest is not None
        assert (services["news"].epoch, services["news"].seq) == latest.position
        assert services["news"].age_seconds is not None
        assert not services["news"].stale
        assert (services["system"].epoch, services["system"].seq) == ("", 0)


async def test_heartbeats_are_counted_in_no_seq_and_kept_nowhere(beating: Cluster) -> None:
    """Neither another gateway nor the history of `system` knows of them; notices keep counting from 1."""
    client = await beating.connect("/ws/data?meta=1")
    await client.say(action="subscribe", service="system")
    await beat(client)
    await beat(client)
    await beating.publish("system", event="service_stale")
    notice = await client.next()
    while notice["data"]["event"] == "heartbeat":
        notice = await client.next()
    assert notice["meta"]["seq"] == 1
    kept = beating.nodes[0].hub.recent["system"].since(NOTHING_YET)
    assert kept is not None
    assert [update.position.seq for update in kept] == [1]
    services = (await beat(client))["data"]["services"]
    assert services["system"]["seq"] == 1


async def test_nobody_else_gets_heartbeats(beating: Cluster) -> None:
    """`all` is the twelve services: it has no heartbeat."""
    client, other = await beating.connect("/ws/all"), await beating.connect("/ws/data")
    await client.next()
    await other.say(action="subscribe", service="system")
    for _ in range(3):
        await beat(other)
    await client.quiet()


async def test_a_heartbeat_comes_after_what_it_counts(beating: Cluster) -> None:
    """Whoever has received a heartbeat has received every update up to its positions."""
    client = await beating.connect("/ws/data?meta=1")
    await client.say(action="subscribe", service=["news", "system"])
    seq, beats = 0, 0
    while beats < 3:
        await beating.bus.publish("news", {})
        message = await client.next()
        if message["service"] == "news":
            seq = message["meta"]["seq"]
        else:
            assert message["data"]["services"]["news"]["seq"] == seq
            beats += 1


def new_heart() -> tuple[Hub, Heart, Clock]:
    clock, hub = Clock(), Hub(CHANNEL_NAMES, 10, GatewayMetrics(open_registry()), kept=100_000, joins=False)
    return hub, Heart(hub, 5.0, clock), clock


def publish(hub: Hub, at: str) -> None:
    hub.broadcast(Update(Envelope("news", "update", {}, at, "e", 1), b""))


def pulse(heart: Heart, subscriber: Subscriber) -> dict[str, Any]:
    """What the next heartbeat says of news."""
    heart.beat()
    found: dict[str, Any] = msgspec.json.decode(subscriber.plug.frames[-1].payload)["data"]["services"]["news"]
    return found


async def test_a_service_is_stale_after_three_intervals_without_an_update() -> None:
    """The age is that of the newest update; before the first, the time since the gateway started decides."""
    hub, heart, clock = new_heart()
    subscriber, limit = Subscriber(Form.TEXT), STALE_INTERVALS * SERVICES["news"].interval
    hub.want(subscriber, ("system",))
    clock.now = BEGAN + limit
    assert pulse(heart, subscriber) == {"epoch": "", "seq": 0, "age_seconds": None, "stale": False}
    clock.now += 0.5
    assert pulse(heart, subscriber) == {"epoch": "", "seq": 0, "age_seconds": None, "stale": True}
    publish(hub, iso(clock.now))
    assert pulse(heart, subscriber) == {"epoch": "e", "seq": 1, "age_seconds": 0.0, "stale": False}
    clock.now += limit
    assert pulse(heart, subscriber) == {"epoch": "e", "seq": 1, "age_seconds": limit, "stale": False}
    clock.now += 0.5
    assert pulse(heart, subscriber) == {"epoch": "e", "seq": 1, "age_seconds": limit + 0.5, "stale": True}


@pytest.mark.parametrize("at", ["", "yesterday", "0001-01-01T00:00:00.000Z", "9999-99-99"])
async def test_a_time_that_cannot_be_read_ends_no_gateway(at: str) -> None:
    """Others may write to Redis, too: the heartbeat goes on."""
    hub, heart, _ = new_heart()
    subscriber = Subscriber(Form.TEXT)
    hub.want(subscriber, ("system",))
    publish(hub, at)
    assert pulse(heart, subscriber)["seq"] == 1


async def test_a_heartbeat_is_encoded_once_per_form() -> None:
    """One frame for all that read JSON, with `meta` or without, and one for MessagePack."""
    hub, heart, _ = new_heart()
    subscribers = [Subscriber(form) for form in (Form.TEXT, Form.TEXT, Form.TEXT_META, Form.PACKED, Form.PACKED)]
    for subscriber in subscribers:
        hub.want(subscriber, ("system",))
    heart.beat()
    frames = [subscriber.plug.frames[0] for subscriber in subscribers]
    assert len({id(frame) for frame in frames}) == 2
    assert msgpack.unpackb(frames[3].payload) == msgspec.json.decode(frames[0].payload)
