"""`/api/v1/snapshot/{service}`: the newest update over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import SecretStr

from gateway.http.sending import matches
from gateway.http.snapshot import etag_of
from gateway.node import Node
from shared.bus import Position
from shared.catalog import CHANNEL_NAMES
from shared.settings import Settings
from tests.contract.conftest import Cluster

PATH = "/api/v1/snapshot/market_data"


async def documented(cluster: Cluster, answer: httpx.Response) -> dict[str, Any]:
    """The body of an answer, which must be as /openapi.json has it."""
    document = (await cluster.http.get(cluster.url("/openapi.json"))).json()
    responses = document["paths"]["/api/v1/snapshot/{service}"]["get"]["responses"]
    schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
    body: dict[str, Any] = answer.json()
    Draft202012Validator({**schema, "components": document["components"]}).validate(body)
    return body


async def test_it_is_the_newest_update_with_its_position(cluster: Cluster) -> None:
    """What a WebSocket client with `meta` hears, in the envelope of the HTTP answers, from either gateway."""
    client = await cluster.connect("/ws/data?meta=1")
    messages = (await cluster.http.get(cluster.url("/asyncapi.json"))).json()["components"]["messages"]
    for service in ("market_data", "persistence", "system"):
        await client.say(action="subscribe", service=service)
        data = messages[f"update_{service}"]["examples"][0]["payload"]["data"]
        await cluster.publish(service, 2, **data, price=1.5, text="Bitcoin – ₿")
        heard = (await client.take(2))[-1]
        for node in (0, 1):
            answer = await cluster.http.get(cluster.url(f"/api/v1/snapshot/{service}", node))
            body = await documented(cluster, answer)
            assert answer.headers["content-type"] == "application/json"
            assert body == {"status": "success", "data": heard, "timestamp": heard["timestamp"]}


async def test_one_etag_stands_for_the_same_bytes_on_every_gateway(cluster: Cluster) -> None:
    """Asked again, of another gateway: the same ETag and the same bytes; of the next update: another ETag."""
    await cluster.publish("market_data", price=1.5)
    answers = [await cluster.http.get(cluster.url(PATH, node)) for node in (0, 1, 0)]
    assert len({(answer.headers["etag"], answer.content) for answer in answers}) == 1
    assert answers[0].headers["cache-control"] == "public, no-cache"
    await cluster.publish("market_data", price=1.5)
    assert (await cluster.http.get(cluster.url(PATH))).headers["etag"] != answers[0].headers["etag"]


async def test_who_has_it_is_told_304(cluster: Cluster) -> None:
    """If-None-Match with the ETag, weak or in a list, or `*`, is 304 with the ETag and no body; later 200."""
    await cluster.publish("market_data", price=1.5)
    etag = (await cluster.http.get(cluster.url(PATH))).headers["etag"]
    forms = [form.format(etag) for form in ("{}", "W/{}", '"a,b" , {}', '"other", W/{}, "more"', "*")]
    for form in forms:
        answer = await cluster.http.get(cluster.url(PATH, 1), headers={"If-None-Match": form})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        assert answer.headers["cache-control"] == "public, no-cache"
    await cluster.publish("market_data", price=2.5)
    for form in forms:
        answer = await cluster.http.get(cluster.url(PATH, 1), headers={"If-None-Match": form})
        assert answer.status_code == (304 if form == "*" else 200)


async def test_an_etag_of_another_update_is_answered_in_full(cluster: Cluster) -> None:
    """Neither another ETag nor the bare text of ours is a match; several header lines count as one list."""
    await cluster.publish("market_data", price=1.5)
    etag = (await cluster.http.get(cluster.url(PATH))).headers["etag"]
    for foreign in ('"other"', etag.strip('"'), "", '"*"'):
        answer = await cluster.http.get(cluster.url(PATH), headers={"If-None-Match": foreign})
        assert answer.status_code == 200
    lines = [("If-None-Match", '"other"'), ("If-None-Match", etag)]
    assert (await cluster.http.get(cluster.url(PATH), headers=lines)).status_code == 304


async def test_head_is_get_without_the_body(cluster: Cluster) -> None:
    """The same status and headers, no body."""
    await cluster.publish("market_data", price=1.5)
    whole, head = await cluster.http.get(cluster.url(PATH)), await cluster.http.head(cluster.url(PATH))
    assert (head.status_code, head.content) == (200, b"")
    for name in ("etag", "cache-control", "content-type", "content-length"):
        assert head.headers[name] == whole.headers[name]


async def test_what_is_not_there_is_404_of_two_kinds(cluster: Cluster) -> None:
    """`invalid_service` with the names that can be asked for, `all` being none; `no_update` before the first one."""
    for name in ("gold", "all", "market_data%0A", "%00"):
        answer = await cluster.http.get(cluster.url(f"/api/v1/snapshot/{name}"))
        assert answer.status_code == 404
        data = (await documented(cluster, answer))["data"]
        assert (data["code"], data["available_services"]) == ("invalid_service", list(CHANNEL_NAMES))
    answer = await cluster.http.get(cluster.url(PATH))
    assert answer.status_code == 404
    assert (await documented(cluster, answer))["data"]["code"] == "no_update"


async def test_a_gateway_that_has_heard_nothing_yet_is_503(settings: Settings) -> None:
    """It can't know whether there is an update: 503 `not_ready` with Retry-After."""
    node = Node(settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")}))
    running = asyncio.create_task(node.run(node.bind()))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.port}") as http:
        answer = await http.get(PATH)
    node.stop("the test is over")
    assert await running == 0
    assert (answer.status_code, answer.json()["data"]["code"]) == (503, "not_ready")
    assert int(answer.headers["retry-after"]) >= 1


async def test_any_page_may_read_it_and_its_etag(cluster: Cluster) -> None:
    """CORS: GET and HEAD from any origin, If-None-Match may be sent, ETag may be read."""
    await cluster.publish("market_data", price=1.5)
    origin = {"Origin": "https://example.org"}
    answer = await cluster.http.get(cluster.url(PATH), headers=origin)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "ETag" in answer.headers["access-control-expose-headers"]
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "if-none-match"}
    assert (await cluster.http.options(cluster.url(PATH), headers=origin | asked)).status_code == 200


async def test_an_epoch_of_any_text_makes_a_plain_etag(cluster: Cluster) -> None:
    """For any epoch in Redis the ETag is printable ASCII and unique."""
    odd = Position('5"\r\nSet-Cookie: x, – %', 7)
    assert etag_of(odd).isascii()
    assert etag_of(odd).isprintable()
    assert matches(f"W/{etag_of(odd)}", etag_of(odd))
    assert etag_of(Position("a-1", 2)) != etag_of(Position("a", 12))


async def test_a_filter_leaves_what_was_asked_for(cluster: Cluster) -> None:
    """`data` is what the filter leaves, with the same position; a filter has ETags of its own, on every gateway."""
    data = {"prices": {"bitcoin": 1.5, "ethereum": 2}, "volumes": {"bitcoin": 3}, "source": "test"}
    await cluster.publish("market_data", **data)
    whole = await cluster.http.get(cluster.url(PATH))
    same = "?fields=prices&coins=gold&coins=bitcoin"
    answers = [await cluster.http.get(cluster.url(f"{PATH}{same}", node)) for node in (0, 1)]
    other = await cluster.http.get(cluster.url(f"{PATH}?coins=gold,bitcoin&fields=prices"))
    left = {"prices": {"bitcoin": 1.5}, "unknown": ["gold"]}
    assert other.json() == whole.json() | {"data": whole.json()["data"] | {"data": left}}
    assert len({(answer.headers["etag"], answer.content) for answer in (*answers, other)}) == 1
    fields = await cluster.http.get(cluster.url(f"{PATH}?fields=prices"))
    assert len({answer.headers["etag"] for answer in (whole, other, fields)}) == 3
    for tag, status in ((other.headers["etag"], 304), (whole.headers["etag"], 200), (fields.headers["etag"], 200)):
        answer = await cluster.http.get(cluster.url(f"{PATH}{same}", 1), headers={"If-None-Match": tag})
        assert answer.status_code == status


async def test_a_wrong_filter_is_400_also_before_the_first_update(cluster: Cluster) -> None:
    """`invalid_filter` with the filters of the service; `system` has none."""
    for path, known in ((PATH, ["coins", "fields"]), ("/api/v1/snapshot/system", [])):
        answer = await cluster.http.get(cluster.url(f"{path}?chains=bitcoin"))
        data = (await documented(cluster, answer))["data"]
        assert (answer.status_code, data["code"], list(data["known"])) == (400, "invalid_filter", known)
