"""Updates as Server-Sent Events (docs/reference/protocol.md), beside WebSockets on the same gateways."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from gateway.event_session import RETRY_SECONDS
from shared.bus import Position
from shared.catalog import CHANNEL_NAMES
from tests.contract.conftest import Cluster, running
from tests.gateway.events import Events, Happened, answered, listen, request, reset
from tests.gateway.raw import Raw, dial
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

PATH = "/api/v1/stream/news"


def head(cluster: Cluster, service: str = "news") -> Position:
    """The position of the newest update."""
    return cluster.nodes[0].hub.recent[service].position


async def begun(events: Events) -> Happened:
    """The confirmation, which comes first."""
    confirmed = await events.next()
    assert confirmed.name == confirmed.data["type"] == "subscription_confirmed"
    return confirmed


async def test_a_stream_is_what_a_websocket_with_meta_receives(cluster: Cluster) -> None:
    """The same confirmation, snapshot and updates, as lines of JSON; each update's id is its position."""
    await cluster.publish("news", n=1, text="two\nlines\r\nand – more")
    socket = await cluster.connect("/ws/news?meta=1")
    async with listen(cluster.nodes[0].port, PATH) as events:
        confirmed = await begun(events)
        assert RETRY_SECONDS[0] * 1000 <= (events.retry or 0) <= RETRY_SECONDS[1] * 1000
        assert confirmed.last_id == ""
        await cluster.publish("news", 2, n=2)
        updates = await events.take(3)
    same, *messages = await socket.take(4)
    assert {**confirmed.data, "timestamp": None} == {**same, "timestamp": None}
    assert [update.data for update in updates] == messages
    assert [update.name for update in updates] == ["message"] * 3
    assert [update.last_id for update in updates] == [f"{head(cluster).epoch}-{seq}" for seq in (1, 2, 3)]


async def test_the_head_keeps_proxies_from_storing_or_buffering_it(cluster: Cluster) -> None:
    """No length, no chunks, no compression: events reach the client when they happen, also over HTTP/1.0."""
    for version in ("1.0", "1.1"):
        async with dial(cluster.nodes[0].port) as raw:
            headers = ("Accept-Encoding: gzip, zstd", "Origin: https://example.org")
            await raw.send(request(PATH, *headers, version=version))
            events = await answered(raw)
            assert events.headers["cache-control"] == "no-store, no-transform"
            assert events.headers["x-accel-buffering"] == "no"
            assert events.headers["connection"] == "close"
            assert events.headers["access-control-allow-origin"] == "*"
            assert not events.headers.keys() & {"content-length", "transfer-encoding", "content-encoding"}
            assert (await begun(events)).data["data"]["position"] == {"epoch": "", "seq": 0}
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    asked["Access-Control-Request-Headers"] = "last-event-id"
    assert (await cluster.http.options(cluster.url(PATH), headers=asked)).status_code == 200


async def test_the_last_id_brings_what_was_missed_from_any_gateway(cluster: Cluster) -> None:
    """By header or by `since`; the header, which a browser sends, is newer. Nothing is missing, nothing comes twice."""
    await cluster.publish("news", 5)
    last = f"{head(cluster).epoch}-2"
    ways: list[tuple[str, tuple[str, ...]]] = [
        (f"?since={last}", ()),
        ("", (f"Last-Event-ID: {last}",)),
        (f"?since={head(cluster).epoch}-1", (f"last-event-id: {last}",)),
    ]
    for number, (query, headers) in enumerate(ways):
        async with listen(cluster.nodes[number % 2].port, PATH + query, *headers) as events:
            confirmed = await begun(events)
            assert (confirmed.data["data"]["recovered"], confirmed.last_id) == (True, last)
            missed = await events.take(3 + number)
            await cluster.publish("news")
            live = await events.next()
        assert [update.seq for update in (*missed, live)] == [*range(3, 7 + number)]
        assert [update.data["meta"].get("recovered") for update in (*missed, live)] == [*[True] * len(missed), None]


async def test_who_hears_nothing_but_the_confirmation_misses_nothing(cluster: Cluster) -> None:
    """Before the first update, the confirmation has an id; with that, the first update is recovered."""
    async with listen(cluster.nodes[0].port, PATH) as events:
        first = await begun(events)
    assert first.last_id == "-0"
    await cluster.publish("news", 2)
    async with listen(cluster.nodes[1].port, PATH, f"Last-Event-ID: {first.last_id}") as events:
        assert (await begun(events)).data["data"]["recovered"] is True
        assert [update.seq for update in await events.take(2)] == [1, 2]


async def test_an_id_that_nobody_knows_ends_nothing(cluster: Cluster) -> None:
    """A browser sends its last id for ever: it gets a snapshot, whose id is one of ours, and `recovered` is false."""
    await cluster.publish("news", 3)
    for last in ("nonsense", "-1", "é-5", "x" * 5000, "a-99999999999999999999", "other-3"):
        async with listen(cluster.nodes[0].port, PATH, f"Last-Event-ID: {last}") as events:
            assert (await begun(events)).data["data"]["recovered"] is False
            snapshot = await events.next()
            assert (snapshot.seq, snapshot.data["meta"]["snapshot"]) == (3, True)
            assert snapshot.last_id == f"{head(cluster).epoch}-3"
    async with listen(cluster.nodes[0].port, PATH, "Last-Event-ID: ") as events:
        assert "recovered" not in (await begun(events)).data["data"]


async def test_a_query_that_can_not_be_read_is_400(cluster: Cluster) -> None:
    """Whoever wrote the address gets to know what is wrong with it."""
    long = "e" * 4000
    for since in (
        "nonsense",
        "",
        "e-1&since=e-2",
        "e-9999999999999999",
        "e%0A-1",
        f"{long}-1",
        "e-1&deliver=so",
    ):
        answer = await cluster.http.get(cluster.url(f"{PATH}?since={since}"))
        assert (answer.status_code, answer.json()["data"]["code"]) == (400, "invalid_parameter"), since
    answer = await cluster.http.get(cluster.url(f"{PATH}?last=e-1"))
    assert (answer.status_code, answer.json()["data"]["code"]) == (400, "unknown_parameter")
    assert answer.json()["data"]["known_parameters"][:2] == ["since", "deliver"]
    answer = await cluster.http.get(cluster.url(f"{PATH}?coins=bitcoin"))
    assert (answer.status_code, answer.json()["data"]["code"]) == (400, "invalid_filter")


async def test_other_requests_have_the_answers_of_every_route(cluster: Cluster) -> None:
    """404 for what is no service; `all` is none, because ids are a service's own. HEAD has no session, POST is 405."""
    for name in ("gold", "all"):
        answer = await cluster.http.get(cluster.url(f"/api/v1/stream/{name}"))
        assert (answer.status_code, answer.json()["data"]["available_services"]) == (404, list(CHANNEL_NAMES))
    whole = await cluster.http.head(cluster.url(PATH))
    assert (whole.status_code, whole.headers["content-type"], whole.content) == (200, "text/event-stream", b"")
    assert not cluster.nodes[0]._sessions
    assert (await cluster.http.post(cluster.url(PATH))).status_code == 405


async def test_a_gateway_that_takes_no_clients_says_when_to_come_back(cluster: Cluster) -> None:
    """Full or draining: 503 with Retry-After, and counted. HAProxy asks the next gateway then."""
    node = cluster.nodes[0]
    node.settings = node.settings.model_copy(update={"max_connections": 1})
    async with listen(node.port, PATH):
        full = await cluster.http.get(cluster.url(PATH))
    await until(lambda: not node._sessions)
    node._draining = True
    draining = await cluster.http.get(cluster.url(PATH))
    node._draining = False
    for answer, reason in ((full, "full"), (draining, "draining")):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["data"]["code"] == "unavailable"
        assert reason in answer.json()["data"]["message"]
        counted = (await cluster.http.get(cluster.url("/metrics"))).text
        assert f'coinwire_gateway_refused_total{{reason="{reason}"}} 1.0' in counted


async def test_who_reads_nothing_at_first_does_not_pass_the_limit_later(cluster: Cluster) -> None:
    """A stream whose head waits behind another answer is no client yet: if others are then, its connection ends."""
    node = cluster.nodes[0]
    node.settings = node.settings.model_copy(update={"max_connections": 1})

    def numbers() -> int:
        return len(node.presence._numbers._free) + (node._number is not None)

    async def page(raw: Raw) -> None:
        head = await raw.head()
        await raw.exactly(int(head.lower().partition("content-length: ")[2].split()[0]))

    before = numbers()
    async with dial(node.port, window=4096) as one, dial(node.port, window=4096) as other:
        for raw in (one, other):
            await raw.send(request("/openapi.json") + request(PATH))
        await until(lambda: numbers() == before - 2)
        assert not node._sessions
        await page(one)
        await begun(await answered(one))
        await page(other)
        with pytest.raises((EOFError, ConnectionResetError)):
            await answered(other)
        assert len(node._sessions) == 1


async def test_a_stream_is_a_client_like_others_until_it_leaves(cluster: Cluster) -> None:
    """It is counted and listed; who closes or resets the connection is gone at once, though it is sent nothing."""
    node = cluster.nodes[0]
    async with listen(node.port, PATH), listen(node.port, PATH) as other:
        await until(lambda: node.presence.subscription_counts == {"news": 2})
        listed = (await cluster.http.get(cluster.url("/ws/stats"))).json()["data"]
        assert [client["subscriptions"] for client in listed["clients"]] == [["news"], ["news"]]
        metrics = (await cluster.http.get(cluster.url("/metrics"))).text
        assert 'coinwire_gateway_accepted_total{endpoint="/api/v1/stream/{service}"} 2.0' in metrics
        assert "coinwire_gateway_connections 2.0" in metrics
        reset(other.raw)
        await until(lambda: len(node._sessions) == 1)
    await until(lambda: not node._sessions)
    assert node.hub.cohorts == 0


async def test_a_stop_ends_each_stream_with_the_reason(cluster: Cluster) -> None:
    """The last event has the code of a WebSocket's close; then the connection ends, and the browser comes back."""
    async with listen(cluster.nodes[0].port, PATH) as events:
        await begun(events)
        cluster.nodes[0].stop("test")
        closed = (await events.rest())[-1]
    assert (closed.name, closed.data["data"]["code"]) == ("stream_closed", 1012)


async def test_requests_on_one_connection_are_answered_until_the_stream(cluster: Cluster) -> None:
    """The stream is the last answer on its connection; what is sent behind it is not answered, and a flood is cut."""
    await cluster.publish("news", n=1)
    node = cluster.nodes[0]
    async with dial(node.port) as raw:
        await raw.send(request("/health/live") + request(PATH) + request("/health/live"))
        first = await raw.head()
        assert "connection: close" not in first.lower()
        assert json.loads(await raw.exactly(len('{"status":"live"}'))) == {"status": "live"}
        events = await answered(raw)
        await begun(events)
        assert (await events.next()).seq == 1
        await raw.send(request("/health/live"))
        await cluster.publish("news", n=2)
        assert (await events.next()).seq == 2
        with contextlib.suppress(ConnectionError):
            while node._sessions:
                await raw.send(b"x" * 10_000)
    await until(lambda: not node._sessions)


async def test_system_carries_notices_and_heartbeats(settings: Any) -> None:
    """As on the WebSocket; they have no position, so the id stays. A comment keeps every silent stream open."""
    async with running(settings, heartbeat=0.05, comment=0.02) as cluster:
        await cluster.publish("system", event="service_stale", about="news", message="stale")
        async with listen(cluster.nodes[0].port, "/api/v1/stream/system") as events:
            await begun(events)
            notice, beat = await events.take(2)
            assert (notice.seq, notice.data["data"]["event"]) == (1, "service_stale")
            assert (beat.name, beat.data["data"]["event"], "meta" in beat.data) == ("message", "heartbeat", False)
            assert beat.last_id == notice.last_id
            await events.next()
            assert "keep-alive" in events.comments


async def test_streams_and_websockets_share_what_an_update_costs(cluster: Cluster) -> None:
    """An update is encoded once for all streams of a service, however many there are."""
    node = cluster.nodes[0]
    async with listen(node.port, PATH) as one, listen(node.port, PATH) as two:
        socket = await cluster.connect("/ws/news?meta=1")
        await asyncio.gather(begun(one), begun(two), socket.next())
        assert node.hub.cohorts == 2
        await cluster.publish("news", n=1)
        first, second, message = await asyncio.gather(one.next(), two.next(), socket.next())
        assert first.data == second.data == message


async def test_a_stream_can_be_filtered_and_is_recovered_filtered(cluster: Cluster) -> None:
    """The same bytes as on a WebSocket with the same filter, with the same ids; a filter leaves no holes."""
    path = "/api/v1/stream/market_data?coins=bitcoin&fields=prices"
    prices = {"bitcoin": 1.0, "ethereum": 2.0}
    await cluster.publish("market_data", prices=prices, volumes=prices)
    socket = await cluster.connect("/ws/market_data?meta=1&coins=bitcoin&fields=prices")
    async with listen(cluster.nodes[0].port, path) as events:
        assert (await begun(events)).data["data"]["filter"] == {"coins": ["bitcoin"], "fields": ["prices"]}
        await cluster.publish("market_data", prices={"ethereum": 2.0})
        received = await events.take(2)
    _, *messages = await socket.take(3)
    assert [event.data for event in received] == messages
    assert received[0].data["data"] == {"prices": {"bitcoin": 1.0}}
    async with listen(cluster.nodes[1].port, path, f"Last-Event-ID: {received[0].last_id}") as events:
        assert (await begun(events)).data["data"]["recovered"] is True
        missed = await events.next()
        assert (missed.last_id, missed.data["data"]) == (received[1].last_id, received[1].data["data"])
