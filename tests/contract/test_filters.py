"""Filters on subscriptions (docs/reference/protocol.md), in every form in which updates are received."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgpack
import pytest

from gateway.event_stream import id_of
from gateway.messages.actions import Subscribe
from shared.bus import Position, open_redis
from shared.bus.coin_list import CoinList
from shared.catalog import SERVICES
from shared.channels import Channels
from shared.coins import KnownCoin, pack_coins
from shared.settings import Settings
from tests.contract.conftest import Client, Cluster, running
from tests.gateway.events import listen

Data = dict[str, Any]


class Case(NamedTuple):
    """A filter, what is published, and what of it is to be received."""

    service: str
    filter: Data
    published: Sequence[Data]
    received: Sequence[Data]


def whale(chain: str, usd: float) -> Data:
    """A large transaction."""
    return {"chain": chain, "symbol": "X", "value_usd": usd, "from": "a", "to": None}


def prices(bitcoin: float) -> Data:
    """An update of market_data."""
    return {"prices": {"bitcoin": bitcoin, "ethereum": 2.0}, "volumes": {"bitcoin": 3.0}, "source": "s"}


WALLETS = [{"address": "a", "label": "Binance 14", "chain": "ethereum"}]
CASES = (
    Case(
        "market_data",
        {"coins": ["bitcoin", "nobody"], "fields": ["prices", "volumes"]},
        [prices(bitcoin) for bitcoin in (1.0, 2.0, 3.0)],
        [{"prices": {"bitcoin": n}, "volumes": {"bitcoin": 3.0}, "unknown": ["nobody"]} for n in (1.0, 2.0, 3.0)],
    ),
    Case(
        "whale_tracking",
        {"chains": ["Ethereum"], "min_value_usd": 5},
        [
            {"large_transactions": [whale("ethereum", 9.0), whale("bitcoin", 8.0)], "whale_wallets": WALLETS}
            | {"total_volume": 17.0},
            {"large_transactions": [whale("ethereum", 4.0)], "whale_wallets": WALLETS, "total_volume": 4.0},
        ],
        [
            {"large_transactions": [whale("ethereum", 9.0)], "whale_wallets": WALLETS, "total_volume": 9.0},
            {"large_transactions": [], "whale_wallets": [], "total_volume": 0.0},
        ],
    ),
    Case(
        "sentiment",
        {"fields": ["timestamp"]},
        [{"sentiment_score": 0.5, "timestamp": "t"}, {"sentiment_score": 0.6}],
        [{"timestamp": "t"}, {}],
    ),
)


async def heard(client: Client, count: int) -> list[Data]:
    """The next messages of a client, whichever encoding it speaks."""
    raw = [await client.connection.recv() for _ in range(count)]
    return [msgpack.unpackb(each) if isinstance(each, bytes) else json.loads(each) for each in raw]


async def subscribed(cluster: Cluster, case: Case, path: str, since: Data | None = None, **options: Any) -> Client:
    """A client that has subscribed with the filter of `case`, and its confirmation."""
    client = await cluster.connect(path, greeted=False, **options)
    await heard(client, 1)
    command = {"action": "subscribe", "service": case.service, "filter": case.filter}
    if since:
        command["since"] = since
    packs = client.connection.subprotocol == "msgpack"
    await client.connection.send(msgpack.packb(command) if packs else json.dumps(command))
    (confirmed,) = await heard(client, 1)
    assert confirmed["type"] == "subscription_confirmed"
    assert confirmed["data"]["filter"] == case.filter
    assert confirmed["data"].get("recovered") == (True if since else None)
    return client


async def publish(cluster: Cluster, case: Case) -> None:
    """What the case publishes."""
    for data in case.published:
        await cluster.publish(case.service, **data)


Way = Callable[[Cluster, Case], Awaitable[list[Data]]]
"""Receives the updates of a case, filtered: the whole messages."""


def live(path: str = "/ws/data", **options: Any) -> Way:
    """Subscribed before they are published."""

    async def receive(cluster: Cluster, case: Case) -> list[Data]:
        client = await subscribed(cluster, case, path, **options)
        await publish(cluster, case)
        return await heard(client, len(case.published))

    return receive


async def compressed(cluster: Cluster, case: Case) -> list[Data]:
    """With permessage-deflate, which `websockets` offers by default."""
    client = await subscribed(cluster, case, "/ws/data")
    assert client.connection.response is not None
    assert "permessage-deflate" in client.connection.response.headers["Sec-WebSocket-Extensions"]
    await publish(cluster, case)
    return await heard(client, len(case.published))


def recovered(**options: Any) -> Way:
    """Missed, and replayed with `since`."""

    async def receive(cluster: Cluster, case: Case) -> list[Data]:
        await publish(cluster, case)
        position = cluster.nodes[0].hub.recent[case.service].position
        since = {"epoch": position.epoch, "seq": position.seq - len(case.published)}
        client = await subscribed(cluster, case, "/ws/data", since=since, **options)
        messages = await heard(client, len(case.published))
        assert all(message["meta"]["recovered"] is True for message in messages)
        return messages

    return receive


def query_of(case: Case) -> str:
    """The filter of a case in an address."""
    return "&".join(f"{name}={','.join(v) if isinstance(v, list) else v}" for name, v in case.filter.items())


async def in_the_address(cluster: Cluster, case: Case) -> list[Data]:
    """Where there is an endpoint of the service, the filter in its address."""
    (path,) = [path for path in SERVICES[case.service].endpoints if path != "/ws/data"]
    client = await cluster.connect(f"{path}?meta=1&{query_of(case)}", greeted=False)
    greeting, confirmed = await heard(client, 2)
    assert greeting["data"]["subscriptions"] == [case.service]
    assert confirmed["data"]["filter"] == case.filter
    await publish(cluster, case)
    return await heard(client, len(case.published))


def streamed(*, late: bool) -> Way:
    """As Server-Sent Events; `late`, they were missed, and are replayed with `Last-Event-ID`."""

    async def receive(cluster: Cluster, case: Case) -> list[Data]:
        before = cluster.nodes[0].hub.recent[case.service].position
        if late:
            await publish(cluster, case)
            before = cluster.nodes[0].hub.recent[case.service].position
            before = before._replace(seq=before.seq - len(case.published))
        path = f"/api/v1/stream/{case.service}?{query_of(case)}"
        async with listen(
            cluster.nodes[0].port, path, *([f"Last-Event-ID: {id_of(before)}"] if late else [])
        ) as events:
            confirmed = (await events.next()).data
            assert confirmed["data"]["filter"] == case.filter
            assert confirmed["data"].get("recovered") == (True if late else None)
            if not late:
                await publish(cluster, case)
            received = await events.take(len(case.published))
        assert [event.last_id for event in received] == [
            id_of(Position(event.data["meta"]["epoch"], event.seq)) for event in received
        ]
        return [event.data for event in received]

    return receive


WAYS: dict[str, Way] = {
    "text": live(compression=None),
    "text with positions": live("/ws/data?meta=1", compression=None),
    "MessagePack": live(subprotocols=["msgpack"], compression=None),
    "compressed": compressed,
    "compressed MessagePack": live(subprotocols=["msgpack"]),
    "recovered": recovered(compression=None),
    "recovered, compressed": recovered(),
    "recovered MessagePack": recovered(subprotocols=["msgpack"]),
    "in the address": in_the_address,
    "event stream": streamed(late=False),
    "event stream, recovered": streamed(late=True),
}
"""Every way in which updates are received. Each receives the same."""


@pytest.mark.parametrize("way", WAYS)
async def test_every_update_is_sent_filtered(cluster: Cluster, way: str) -> None:
    """Each way receives of each update what the filter leaves, also where that is nothing, and the seq has no holes."""
    for case in CASES:
        before = cluster.nodes[0].hub.recent[case.service].position.seq
        messages = await WAYS[way](cluster, case)
        assert [message["data"] for message in messages] == case.received
        assert {(message["service"], message["type"]) for message in messages} == {(case.service, "update")}
        seqs = [message["meta"]["seq"] for message in messages if "meta" in message]
        assert seqs == ([] if "meta" not in messages[0] else list(range(before + 1, before + 1 + len(messages))))


async def test_the_latest_update_comes_filtered(cluster: Cluster) -> None:
    """On subscribe, and again with each subscribe that changes the filter; without one, everything comes again."""
    await cluster.publish("market_data", **prices(1.0))
    client = await cluster.connect("/ws/data")
    for wanted, expected in (
        ({"fields": ["source"]}, {"source": "s"}),
        ({"coins": ["ethereum"]}, {"prices": {"ethereum": 2.0}, "volumes": {}, "source": "s"}),
        ({}, prices(1.0)),
        ({"fields": ["volumes"]}, {"volumes": {"bitcoin": 3.0}}),
        (None, prices(1.0)),
    ):
        confirmed = await client.say(action="subscribe", service="market_data", filter=wanted)
        assert confirmed["data"].get("filter") == (wanted or None)
        assert (await client.next())["data"] == expected
        status = await client.say(action="get_status")
        assert status["data"].get("filters") == ({"market_data": wanted} if wanted else None)
    await cluster.publish("market_data", **prices(2.0))
    assert (await client.next())["data"] == prices(2.0)


async def test_a_filter_ends_with_its_subscription(cluster: Cluster) -> None:
    """Whoever unsubscribes and subscribes again without one gets everything."""
    client = await cluster.connect("/ws/data")
    await client.say(action="subscribe", service="news", filter={"fields": ["timestamp"]})
    await client.say(action="unsubscribe", service="all")
    assert "filters" not in (await client.say(action="get_status"))["data"]
    await client.say(action="subscribe", service="news")
    await cluster.publish("news", n=1)
    assert (await client.next())["data"] == {"n": 1}


async def test_each_service_has_its_own_filter(cluster: Cluster) -> None:
    """A list of services or `all` gives each of them the filter; a later one replaces that of its service only."""
    client = await cluster.connect("/ws/data")
    confirmed = await client.say(action="subscribe", service="all", filter={"fields": ["timestamp"]})
    assert confirmed["data"]["filter"] == {"fields": ["timestamp"]}
    await client.say(action="subscribe", service="rpc_nodes", filter={"chains": ["base"]})
    filters = (await client.say(action="get_status"))["data"]["filters"]
    assert filters == {name: {"fields": ["timestamp"]} for name in SERVICES} | {"rpc_nodes": {"chains": ["base"]}}
    for service in ("news", "onchain"):
        await cluster.publish(service, timestamp="t", n=1)
        assert (await client.next())["data"] == {"timestamp": "t"}


@pytest.mark.parametrize(
    ("service", "wanted", "blamed"),
    [
        ("news", {"coins": ["bitcoin"]}, "news"),
        ("news", ["coins"], "news"),
        ("system", {"fields": ["timestamp"]}, "system"),
        (["onchain", "sentiment"], {"chains": ["bitcoin"]}, "sentiment"),
        ("all", {"fields": ["prices"]}, "explorers"),
    ],
)
async def test_what_is_no_filter_changes_nothing(cluster: Cluster, service: Any, wanted: Any, blamed: str) -> None:
    """The error names the service that does not know it, and what that knows; filters and subscriptions stay."""
    client = await cluster.connect("/ws/data?meta=1")
    await client.say(action="subscribe", service="news", filter={"fields": ["timestamp"]})
    for since in ({}, {"since": {"epoch": "", "seq": 0}} if isinstance(service, str) and service != "all" else {}):
        answer = await client.say(action="subscribe", service=service, filter=wanted, id=5, **since)
        data = answer["data"]
        assert (answer["type"], data["code"], data["service"], data["id"]) == ("error", "invalid_filter", blamed, 5)
        assert list(data["known"]) == list(SERVICES[blamed].filters if blamed in SERVICES else ())
    status = (await client.say(action="get_status"))["data"]
    assert (status["subscriptions"], status["filters"]) == (["news"], {"news": {"fields": ["timestamp"]}})


async def test_symbols_of_listed_coins_become_ids(settings: Settings) -> None:
    """The confirmation has the ids; a symbol of several coins is an error that lists theirs."""
    coins = [("bitcoin", "btc"), ("ethereum", "eth"), ("batcat", "bat"), ("basic-attention-token", "bat")]
    listed = pack_coins([KnownCoin(id=name, symbol=symbol.upper()) for name, symbol in coins])
    redis = open_redis(settings)
    await CoinList(redis, Channels(settings.redis_prefix)).store(listed, 0)
    await redis.aclose()
    async with running(settings) as cluster:
        client = await cluster.connect("/ws/market_data?coins=BTC,eth,nobody", greeted=False)
        _, confirmed = await client.take(2)
        assert confirmed["data"]["filter"] == {"coins": ["bitcoin", "ethereum", "nobody"]}
        await cluster.publish("market_data", **prices(1.0))
        data = (await client.next())["data"]
        assert (data["prices"], data["unknown"]) == ({"bitcoin": 1.0, "ethereum": 2.0}, ["nobody"])
        refused = (await client.say(action="subscribe", service="market_data", filter={"coins": ["BAT"]}))["data"]
        assert (refused["code"], set(refused["ids"])) == ("invalid_filter", {"batcat", "basic-attention-token"})


@pytest.mark.parametrize(
    "query", ["coins=", "chains=ethereum", "fields=nothing", "coins=" + ",".join(["x"] * 251), "min_value_usd=1"]
)
async def test_an_address_without_a_valid_filter_subscribes_to_nothing(cluster: Cluster, query: str) -> None:
    """The client is greeted, is told what is wrong, and may subscribe: a browser shows no page a refused handshake."""
    client = await cluster.connect(f"/ws/market_data?{query}", greeted=False)
    greeting, refused = await client.take(2)
    assert (greeting["type"], greeting["data"]["subscriptions"]) == ("connection_established", [])
    assert (refused["type"], refused["data"]["code"]) == ("error", "invalid_filter")
    assert (await client.say(action="get_status"))["data"]["subscriptions"] == []
    confirmed = await client.say(action="subscribe", service="market_data", filter={"coins": ["bitcoin"]})
    assert confirmed["data"]["subscriptions"] == ["market_data"]


@pytest.mark.parametrize("path", ["/ws", "/ws/data", "/ws/monitoring"])
async def test_an_address_that_subscribes_to_nothing_has_no_filter(cluster: Cluster, path: str) -> None:
    """The error says where to give it."""
    client = await cluster.connect(f"{path}?coins=bitcoin", greeted=False)
    await client.take(2 if path == "/ws" else 1)
    refused = (await client.next())["data"]
    assert (refused["code"], "subscribe" in refused["message"]) == ("invalid_filter", True)
    assert (await client.say(action="ping"))["type"] == "pong"


async def test_other_parameters_of_an_address_are_ignored(cluster: Cluster) -> None:
    """As ever: clients add what their libraries add."""
    client = await cluster.connect("/ws/market_data?EIO=4&transport=websocket&limit=x", greeted=False)
    _, confirmed = await client.take(2)
    assert (confirmed["type"], "filter" in confirmed["data"]) == ("subscription_confirmed", False)


async def test_heartbeats_and_notices_come_beside_filtered_services(cluster: Cluster) -> None:
    """`system` is sent whole, to the same client, in order."""
    client = await cluster.connect("/ws/market_data?fields=source")
    await client.next()
    await client.say(action="subscribe", service="system")
    await cluster.publish("market_data", **prices(1.0))
    await cluster.publish("system", event="source_failed_over")
    await cluster.publish("market_data", **prices(2.0))
    messages = [message for message in await client.take(3) if message["data"].get("event") != "heartbeat"]
    assert [message["service"] for message in messages][:2] == ["market_data", "system"]
    assert messages[0]["data"] == {"source": "s"}
    cluster.nodes[0]._heart.beat()
    pulses = [message for message in await client.take(1 + 3 - len(messages)) if "services" in message["data"]]
    assert pulses[-1]["data"]["services"]["market_data"]["seq"] == 2


async def test_who_filters_and_who_does_not_stand_at_the_same_position(cluster: Cluster) -> None:
    """Two clients of one service, one of them filtered, see the same epoch and seq, and can swap their positions."""
    filtered = await cluster.connect("/ws/market_data?meta=1&fields=source")
    whole = await cluster.connect("/ws/market_data?meta=1")
    await filtered.next(), await whole.next()
    for n in range(3):
        await cluster.publish("market_data", **prices(float(n)))
    one, other = await filtered.take(3), await whole.take(3)
    assert [message["meta"] for message in one] == [message["meta"] for message in other]
    position = {name: one[0]["meta"][name] for name in ("epoch", "seq")}
    confirmed = await filtered.say(action="subscribe", service="market_data", since=position)
    assert (confirmed["data"]["recovered"], "filter" in confirmed["data"]) == (True, False)
    assert [message["data"] for message in await filtered.take(2)] == [prices(1.0), prices(2.0)]


def test_the_document_has_a_filter_of_every_command_that_takes_one() -> None:
    """`subscribe` shows an example."""
    assert any(isinstance(example.filter, dict) for example in Subscribe.examples())
