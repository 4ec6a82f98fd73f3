"""Commands and their answers (docs/reference/protocol.md)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.protocol import ACTIONS
from shared.catalog import ALL, SERVICES, SYSTEM
from tests.contract.conftest import Cluster
from tests.waiting import until

FOURTEEN = [*SERVICES, SYSTEM, ALL]


async def test_subscribe_and_unsubscribe_are_confirmed_and_idempotent(cluster: Cluster) -> None:
    """Each confirmation has the service and the sorted subscriptions; a repetition changes nothing."""
    client = await cluster.connect("/ws/data")
    for _ in range(2):
        confirmed = await client.say(action="subscribe", service="news")
        assert confirmed["type"] == "subscription_confirmed"
        assert confirmed["data"] == {"service": "news", "subscriptions": ["news"]}
    await cluster.publish("news", n=1)
    assert (await client.next())["data"] == {"n": 1}
    await client.quiet()
    for _ in range(2):
        confirmed = await client.say(action="unsubscribe", service="news")
        assert confirmed["type"] == "unsubscription_confirmed"
        assert confirmed["data"] == {"service": "news", "subscriptions": []}
    await cluster.publish("news", n=2)
    await client.quiet()


async def test_all_means_each_of_the_twelve(cluster: Cluster) -> None:
    """After subscribe all, unsubscribe news leaves eleven; unsubscribe all leaves none of them."""
    client = await cluster.connect("/ws/data")
    assert (await client.say(action="subscribe", service="all"))["data"]["subscriptions"] == sorted(SERVICES)
    left = (await client.say(action="unsubscribe", service="news"))["data"]["subscriptions"]
    assert left == sorted(set(SERVICES) - {"news"})
    assert (await client.say(action="unsubscribe", service="all"))["data"]["subscriptions"] == []


async def test_system_is_not_part_of_all(cluster: Cluster) -> None:
    """`system` is subscribed and unsubscribed by its own name; its notices are updates."""
    client = await cluster.connect("/ws/data")
    await client.say(action="subscribe", service="system")
    both = (await client.say(action="subscribe", service="all"))["data"]["subscriptions"]
    assert both == sorted([*SERVICES, "system"])
    assert (await client.say(action="unsubscribe", service="all"))["data"]["subscriptions"] == ["system"]
    await cluster.publish("system", event="service_stale")
    assert (await client.next())["service"] == "system"


async def test_a_list_of_services_is_one_command(cluster: Cluster) -> None:
    """One confirmation, which repeats the list; a wrong name in it subscribes nothing."""
    client = await cluster.connect("/ws/data")
    confirmed = await client.say(action="subscribe", service=["sentiment", "news"])
    assert confirmed["data"] == {"service": ["sentiment", "news"], "subscriptions": ["news", "sentiment"]}
    fault = await client.say(action="subscribe", service=["onchain", "nope"])
    assert fault["data"]["code"] == "invalid_service"
    assert (await client.say(action="get_status"))["data"]["subscriptions"] == ["news", "sentiment"]


async def test_status_tells_the_clients_of_the_whole_cluster(cluster: Cluster) -> None:
    """total_clients counts both gateways; last_activity is the last message from the client."""
    client = await cluster.connect("/ws/data", 0)
    await cluster.connect("/ws/data", 1)
    seen: dict[str, Any] = {}

    async def both() -> bool:
        seen.update((await client.say(action="get_status"))["data"])
        return bool(seen["total_clients"] == 2)

    await until(both)
    assert set(seen) == {"client_id", "connected_at", "last_activity", "subscriptions", "total_clients"}
    assert seen["last_activity"] > seen["connected_at"]


@pytest.mark.parametrize("data", [{"custom": "data"}, {}, [1, 2], "text", 5])
async def test_ping_echoes_its_data(cluster: Cluster, data: Any) -> None:
    """pong has the data of its ping."""
    pong = await (await cluster.connect("/ws/data")).say(action="ping", data=data)
    assert (pong["service"], pong["type"], pong["data"]) == ("system", "pong", data)


async def test_ping_without_data_is_echoed_as_an_empty_object(cluster: Cluster) -> None:
    """`{}` if absent."""
    assert (await (await cluster.connect("/ws/data")).say(action="ping"))["data"] == {}


@pytest.mark.parametrize("command_id", ["a", "", 0, -5, 2**63])
async def test_an_id_comes_back_in_the_answer(cluster: Cluster, command_id: str | int) -> None:
    """`id`, a string or an integer, is echoed as `data.id` of every reply, errors too."""
    client = await cluster.connect("/ws/data")
    for command in (
        {"action": "subscribe", "service": "news"},
        {"action": "unsubscribe", "service": "news"},
        {"action": "get_status"},
        {"action": "ping", "data": {"x": 1}},
        {"action": "subscribe", "service": "nope"},
        {"action": "nope"},
    ):
        assert (await client.say(**command, id=command_id))["data"]["id"] == command_id


ERRORS = [
    ('{"action": "subscribe", "service": "nope"}', "invalid_service", "Invalid service: nope", "available_services"),
    ('{"action": "unsubscribe", "service": "nope"}', "invalid_service", "Invalid service: nope", "available_services"),
    ('{"action": "subscribe", "service": 5}', "invalid_service", "Invalid service: 5", "available_services"),
    ('{"action": "subscribe"}', "missing_service", "", "available_services"),
    ('{"action": "subscribe", "service": null}', "missing_service", "", "available_services"),
    ('{"action": "subscribe", "service": []}', "missing_service", "", "available_services"),
    ('{"action": "dance"}', "unknown_action", "Unknown action: dance", "supported_actions"),
    ('{"action": ["subscribe"]}', "unknown_action", "Unknown action: ", "supported_actions"),
    ('{"service": "news"}', "unknown_action", "Unknown action: ", "supported_actions"),
    ("nope", "invalid_json", "", None),
    ("", "invalid_json", "", None),
    ('{"action": "ping"', "invalid_json", "", None),
    ('{"action": "ping", "data": NaN}', "invalid_json", "", None),
    ("[" * 8_000, "invalid_json", "", None),
    ("[1]", "invalid_message", "", None),
    ('"text"', "invalid_message", "", None),
    ("null", "invalid_message", "", None),
    ('{"action": "ping", "id": true}', "invalid_message", "", None),
    ('{"action": "ping", "id": {}}', "invalid_message", "", None),
    (f'{{"action": "ping", "id": {2**70}}}', "invalid_message", "", None),
    ('{"action": "subscribe", "service": "news", "since": 5}', "invalid_message", "", None),
    ('{"action": "subscribe", "service": "all", "since": {"epoch": "e", "seq": 1}}', "invalid_message", "", None),
    ('{"action": "subscribe", "service": "news", "since": {"epoch": "e", "seq": -1}}', "invalid_message", "", None),
    ('{"action": "subscribe", "service": "news", "deliver": "some"}', "invalid_message", "deliver must be", None),
    (b"\x00\x01", "binary_not_supported", "", None),
]


@pytest.mark.parametrize(("sent", "code", "text", "helps"), ERRORS)
async def test_a_fault_is_one_error_and_the_connection_stays(
    cluster: Cluster, sent: str | bytes, code: str, text: str, helps: str | None
) -> None:
    """Every fault has its code, its message and what helps; the connection stays open after it."""
    client = await cluster.connect("/ws/data")
    await client.connection.send(sent)
    message = await client.next()
    assert (message["service"], message["type"], message["data"]["code"]) == ("system", "error", code)
    assert message["data"]["message"].startswith(text)
    assert message["data"]["message"]
    if helps == "available_services":
        assert message["data"][helps] == FOURTEEN
    elif helps is not None:
        assert message["data"][helps] == list(ACTIONS)
    await client.quiet()
