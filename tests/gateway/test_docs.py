"""`/docs`, `/openapi.json` and `/asyncapi.json`: complete, well-formed, and true of a running gateway."""

from __future__ import annotations

import asyncio
import json
import threading
import tomllib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
import websockets
from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]
from pydantic import SecretStr
from starlette.routing import Route

from gateway import docs
from gateway.app import ROUTES
from gateway.docs import VERSION, asyncapi, guides, html
from gateway.docs.examples import from_schema
from gateway.docs.openapi import OPERATIONS
from gateway.endpoints import ENDPOINTS
from gateway.messages.actions import COMMANDS
from gateway.messages.notices import WELCOMES
from gateway.node import Node
from gateway.protocol import ACTIONS, ERROR_CODES, MESSAGE_TYPES, CloseCode, parse_command
from shared.catalog import CHANNEL_NAMES, SERVICES
from shared.payloads import SystemNotice
from shared.settings import Settings
from tests.gateway.serving import DEADLINE, Gateway, Page
from tests.places import ROOT
from tests.waiting import until


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)


def _resolve(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/")
    found: Any = document
    for part in reference[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def _validate(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def _fits(document: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    found: bool = Draft202012Validator({**schema, "components": document["components"]}).is_valid(value)
    return found


# OpenAPI.


async def test_every_route_is_in_the_openapi_document(gateway: Gateway) -> None:
    """Every HTTP route of the application is documented, and nothing else is."""
    routes = {route.path for route in ROUTES if isinstance(route, Route)}
    assert set((await gateway.document("openapi"))["paths"]) == routes == set(OPERATIONS)


async def test_the_openapi_document_is_well_formed(gateway: Gateway) -> None:
    """It says 3.1, every reference resolves, operation ids are unique, and path parameters are declared."""
    document = await gateway.document("openapi")
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"]
    assert document["info"]["version"]
    for reference in _references(document):
        _resolve(document, reference)
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    operations = {path: item["get"] for path, item in document["paths"].items()}
    assert len({operation["operationId"] for operation in operations.values()}) == len(operations)
    for path, operation in operations.items():
        assert operation["summary"]
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}
        assert all(answer["description"] for answer in operation["responses"].values())
        declared = {item["name"] for item in operation.get("parameters", ()) if item["in"] == "path"}
        assert declared == {part[1:-1] for part in path.split("/") if part.startswith("{")}


async def test_examples_of_answers_fit_their_schemas(gateway: Gateway) -> None:
    """The newest update and a page of the history have an example with a real payload."""
    document = await gateway.document("openapi")
    for kind in ("snapshot", "history"):
        answer = document["paths"][f"/api/v1/{kind}/{{service}}"]["get"]["responses"]["200"]
        content = answer["content"]["application/json"]
        assert "bitcoin" in json.dumps(content["example"])
        _validate(document, content["schema"], content["example"])


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/ws/stats", 200),
        ("/ws/stats?limit=1", 200),
        ("/ws/stats?limit=many", 400),
        ("/ws/services", 200),
        ("/ws/endpoints", 200),
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/metrics", 200),
        ("/docs", 200),
        ("/openapi.json", 200),
        ("/asyncapi.json", 200),
        ("/ws/market_data", 426),
    ],
)
async def test_http_answers_are_as_documented(gateway: Gateway, address: str, status: int) -> None:
    """A real answer has a documented status, media type and body."""
    async with (
        websockets.connect(f"ws://127.0.0.1:{gateway.node.port}/ws/all") as first,
        websockets.connect(f"ws://127.0.0.1:{gateway.node.port}/ws") as second,
    ):
        await first.recv()
        await second.recv()
        await gateway.node.presence.sync()
        answer = await gateway.http.get(address)
    assert answer.status_code == status
    document = await gateway.document("openapi")
    operation = document["paths"][urlsplit(address).path]["get"]
    ((media_type, content),) = operation["responses"][str(status)]["content"].items()
    assert answer.headers["content-type"].split(";")[0] == media_type
    _validate(document, content["schema"], answer.json() if media_type == "application/json" else answer.text)


@pytest.mark.parametrize("path", ["/health/ready", "/ws/stats"])
async def test_failures_without_redis_are_as_documented(settings: Settings, path: str) -> None:
    """A gateway without Redis answers 503, with a documented body."""
    node = Node(settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")}))
    listener = node.bind()
    running = asyncio.create_task(node.run(listener))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.port}", timeout=DEADLINE) as client:
            answer = await client.get(path)
            document = (await client.get("/openapi.json")).json()
    finally:
        node.stop("test")
        await running
    assert answer.status_code == 503
    content = document["paths"][path]["get"]["responses"]["503"]["content"]
    _validate(document, content["application/json"]["schema"], answer.json())


# AsyncAPI.


async def test_the_asyncapi_document_is_well_formed(gateway: Gateway) -> None:
    """It says 3.1.0, every reference resolves, and operations use messages of their own channel only."""
    document = await gateway.document("asyncapi")
    assert document["asyncapi"] == "3.1.0"
    assert document["info"]["title"]
    assert document["info"]["version"]
    for reference in _references(document):
        _resolve(document, reference)
    for server in document["servers"].values():
        assert server["host"] == "{host}"
        assert server["protocol"] in {"ws", "wss"}
        assert server["variables"]["host"]["default"]
    for name, operation in document["operations"].items():
        channel = operation["channel"]["$ref"]
        assert operation["action"] in {"send", "receive"}, name
        reply = operation.get("reply", {"channel": {"$ref": channel}, "messages": []})
        assert reply["channel"]["$ref"] == channel
        for message in (*operation["messages"], *reply["messages"]):
            assert message["$ref"].startswith(f"{channel}/messages/")
    for schema in document["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)
    allowed = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    assert {key for key in document if not key.startswith("x-")} <= allowed


async def test_every_message_of_the_asyncapi_document_is_used(gateway: Gateway) -> None:
    """Each message belongs to a channel and an operation, has a name, a summary, and examples that fit its schema."""
    document = await gateway.document("asyncapi")
    messages = document["components"]["messages"]
    for channel in document["channels"].values():
        used = {reference.rpartition("/")[2] for reference in _references(channel["messages"])}
        welcomes = {asyncapi.name_of(other) for path, other in WELCOMES.items() if path != channel["address"]}
        assert used == set(messages) - welcomes
    operated = {reference.rpartition("/")[2] for reference in _references(document["operations"])}
    assert set(messages) <= operated
    for message in messages.values():
        assert message["name"]
        assert message["summary"]
        assert message["examples"]
        Draft7Validator.check_schema(message["payload"])
        for example in message["examples"]:
            _validate(document, message["payload"], example["payload"])


async def test_the_asyncapi_document_covers_the_protocol(gateway: Gateway) -> None:
    """Every endpoint, service, action, message type, error code and close code of the code is in it, and no other."""
    document = await gateway.document("asyncapi")
    messages = document["components"]["messages"]
    assert [channel["address"] for channel in document["channels"].values()] == list(ENDPOINTS)
    assert {m["x-service"]: m["x-interval-seconds"] for m in messages.values() if "x-service" in m} == {
        name: SERVICES[name].interval if name in SERVICES else None for name in CHANNEL_NAMES
    }
    assert {m["x-service"]: m["x-carries"] for m in messages.values() if "x-service" in m} == {
        name: SERVICES[name].carries if name in SERVICES else "events" for name in CHANNEL_NAMES
    }
    assert tuple(COMMANDS) == ACTIONS
    assert {message["name"] for message in messages.values()} == {*ACTIONS, *MESSAGE_TYPES}
    assert tuple(document["x-error-codes"]) == ERROR_CODES
    assert document["components"]["schemas"]["ErrorData"]["properties"]["code"]["enum"] == sorted(ERROR_CODES)
    assert document["x-close-codes"].keys() == {str(code.value) for code in CloseCode}


async def test_every_channel_says_what_it_takes_and_subscribes(gateway: Gateway) -> None:
    """A channel names its automatic subscription, the `meta` parameter, and an operation for each action."""
    document = await gateway.document("asyncapi")
    for key, channel in document["channels"].items():
        assert channel["x-subscribes"] == ENDPOINTS[channel["address"]].subscribes
        assert "meta" in channel["bindings"]["ws"]["query"]["properties"]
        assert {f"{key}.{action}" for action in ACTIONS} | {f"{key}.stream"} <= set(document["operations"])


def test_documented_commands_are_valid() -> None:
    """The protocol reads every command that the documentation gives as an example, as what it is."""
    for action, command in COMMANDS.items():
        assert command.examples()
        for example in command.examples():
            sent = msgspec.to_builtins(example)
            assert sent["action"] == action == example.action
            assert parse_command(sent) == example


@pytest.mark.parametrize("service", CHANNEL_NAMES)
def test_an_example_can_be_made_of_every_payload(service: str) -> None:
    """A service that nobody wrote an example for gets one made from its type."""
    kind = SERVICES[service].payload if service in SERVICES else SystemNotice
    (schema,), components = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    msgspec.convert(from_schema(schema, components), kind)


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_real_messages_are_as_documented(gateway: Gateway, path: str) -> None:
    """Whatever a client of any endpoint hears, in every form, fits the schema of a message of that channel."""
    document = await gateway.document("asyncapi")
    commands: list[Any] = [
        *(msgspec.to_builtins(example) for command in COMMANDS.values() for example in command.examples()),
        {"action": "subscribe", "service": ["all", "system"], "id": 1},
        {"action": "subscribe", "service": "news", "since": {"epoch": "gone", "seq": 1}, "id": "two"},
        {"action": "unsubscribe", "service": "news"},
        {"action": "get_status", "id": 3},
        {"action": "ping", "data": {"custom": "data"}},
        {"action": "ping"},
        {"action": "buy", "id": 4},
        {"action": "subscribe"},
        {"action": "subscribe", "service": "gold"},
        "not an object",
    ]
    channel = next(item for item in document["channels"].values() if item["address"] == path)
    by_kind: dict[tuple[str, str, bool], dict[str, Any]] = {}
    for reference in _references(channel["messages"]):
        payload = _resolve(document, reference)["payload"]
        kind, service = (payload["properties"].get(name, {}).get("const") for name in ("type", "service"))
        if kind is not None:
            by_kind[kind, service, payload["title"] == "HeartbeatUpdate"] = payload
    for query, subprotocol in (("", None), ("?meta=1", None), ("", "msgpack")):
        heard = await gateway.exchange(path + query, *commands, subprotocol=subprotocol)
        for message in heard:
            beat = message["type"] == "update" and message["data"].get("event") == "heartbeat"
            kind = message["type"], message["service"], beat
            # Some of the examples subscribe with a filter: what is left of an update then is the `filtered` one.
            filtered = message["type"] == "update" and not _fits(document, by_kind[kind], message)
            _validate(document, by_kind["update", None, False] if filtered else by_kind[kind], message)
        kinds = {message["type"] for message in heard}
        assert kinds == set(MESSAGE_TYPES) - (set() if path in WELCOMES else {"welcome"})
        updates = [message for message in heard if message["type"] == "update"]
        assert {message["service"] for message in updates} == set(CHANNEL_NAMES)
        assert any("meta" in message for message in updates)  # the `since` above opts in


async def test_a_refusal_for_speed_is_as_documented(gateway: Gateway) -> None:
    """`rate_limited` carries `retry_after_ms`, as documented."""
    document = await gateway.document("asyncapi")
    async with websockets.connect(f"ws://127.0.0.1:{gateway.node.port}/ws/data") as socket:
        for _ in range(60):
            await socket.send(json.dumps({"action": "ping"}))
        async with asyncio.timeout(DEADLINE):
            heard = [json.loads(await socket.recv()) for _ in range(61)]
    refused = [message for message in heard if message["type"] == "error"]
    assert {message["data"]["code"] for message in refused} == {"rate_limited"}
    for message in refused:
        assert message["data"]["retry_after_ms"] >= 1
        _validate(document, document["components"]["messages"]["error"]["payload"], message)


# The page.


async def test_the_page_loads_nothing_from_another_host(gateway: Gateway) -> None:
    """Every src and href is relative, and what it names is served by this gateway."""
    shown = Page((await gateway.http.get("/docs")).text)
    assert shown.loads
    for address in (*shown.loads, *shown.links):
        parts = urlsplit(address)
        assert not parts.netloc, address
        assert parts.scheme in {"", "data"}, address
        if parts.scheme == "" and parts.path:
            answer = await gateway.http.get(f"/{address}")
            assert answer.status_code == 200, address


async def test_style_sheets_load_nothing_from_another_host(gateway: Gateway) -> None:
    """Style sheets, ours and Swagger UI's, refer to nothing but data URLs."""
    for name in html.ASSETS:
        if name.endswith(".css"):
            text = (await gateway.http.get(f"/docs/assets/{name}")).text
            assert "@import" not in text
            assert all(part.lstrip("\"'").startswith("data:") for part in text.split("url(")[1:])


async def test_the_page_forbids_what_it_does_not_need(gateway: Gateway) -> None:
    """Its Content-Security-Policy allows this host only and no inline script, and there is none."""
    answer = await gateway.http.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    directives = {part.split()[0]: part.split()[1:] for part in policy.split(";")}
    assert directives["default-src"] == ["'self'"]
    assert "script-src" not in directives
    assert directives["connect-src"] == ["'self'", "ws:", "wss:"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Page(answer.text).inline == []


async def test_the_page_documents_the_whole_websocket_api(gateway: Gateway) -> None:
    """Without a script it names every endpoint, service, action, message type, error code and close code."""
    text = Page((await gateway.http.get("/docs")).text).text
    codes = [str(code.value) for code in CloseCode]
    for name in (*ENDPOINTS, *CHANNEL_NAMES, *ACTIONS, *MESSAGE_TYPES, *ERROR_CODES, *codes, "since", "msgpack"):
        assert name in text


async def test_everything_that_the_page_documents_can_be_searched(gateway: Gateway) -> None:
    """Its search has every endpoint, action, message, service, code and how-to, each with a place to go to."""
    shown = Page((await gateway.http.get("/docs")).text)
    found = {kind: {each["data-name"] for each in shown.found if each["data-find"] == kind} for kind in shown.kinds}
    assert found["endpoint"] == set(ENDPOINTS)
    assert found["action"] == set(ACTIONS)
    assert found["message"] == {*MESSAGE_TYPES, "heartbeat", "filtered_update"} - {"update"}
    assert found["service"] == set(CHANNEL_NAMES)
    assert found["error code"] == set(ERROR_CODES)
    assert found["close code"] == {str(code.value) for code in CloseCode}
    assert {guide.title for guide in guides.listed() if guide.kind == "how-to"} == found["how-to"]
    assert all(each.get("id") or each.get("href") for each in shown.found)


async def test_the_search_can_be_used_by_keyboard_and_by_ear(gateway: Gateway) -> None:
    """It is a labelled combobox that controls a list, and its outcome is announced."""
    text = (await gateway.http.get("/docs")).text
    shown = Page(text)
    (search,) = [each for each in shown.elements if each.get("role") == "combobox"]
    assert search["aria-controls"] in shown.ids
    assert search["aria-keyshortcuts"] == "/"
    assert [each["id"] for each in shown.elements if each.get("role") == "listbox"] == [search["aria-controls"]]
    assert any(each.get("role") == "status" for each in shown.elements)


async def test_the_page_is_accessible(gateway: Gateway) -> None:
    """It has a language, a title, one h1, a main part, labels for its controls, and links that lead somewhere."""
    text = (await gateway.http.get("/docs")).text
    shown = Page(text)
    assert '<html lang="en">' in text
    assert [shown.tags.count(tag) for tag in ("title", "h1", "main", "nav")] == [1, 1, 1, 1]
    assert shown.unlabelled == []
    assert len(shown.ids) == len(set(shown.ids))
    assert {link[1:] for link in shown.links if link.startswith("#")} <= set(shown.ids)


async def test_assets_are_kept_as_long_as_they_are_true(gateway: Gateway) -> None:
    """An asset asked for by its fingerprint may be kept for ever; by its bare name it is asked for again."""
    name = "docs.js"
    known = await gateway.http.get(f"/docs/assets/{name}", params={"v": html.fingerprint(name)})
    assert "immutable" in known.headers["cache-control"]
    for address in (f"/docs/assets/{name}", f"/docs/assets/{name}?v=old"):
        assert (await gateway.http.get(address)).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["index.html", "swagger-ui.js.map", "..%2Fpage.py", "%2e%2e/page.py", "page.py"])
async def test_nothing_but_the_assets_is_served(gateway: Gateway, name: str) -> None:
    """No other file of the package, and none of ours, can be fetched."""
    assert (await gateway.http.get(f"/docs/assets/{name}")).status_code == 404


def test_the_documents_have_the_version_of_the_project() -> None:
    """Both documents carry the version of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION


async def test_a_crowd_that_asks_for_a_page_first_waits_for_one_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one thread: each more that waits would take turns with the loop that broadcasts."""
    monkeypatch.setattr(docs, "_rendered", {})
    threads, go_on, before = set[int](), threading.Event(), threading.active_count()

    def render() -> bytes:
        threads.add(threading.get_ident())
        assert go_on.wait(DEADLINE)
        return b"page"

    asking = [asyncio.create_task(docs._page("page", render, "text/plain", {})) for _ in range(100)]
    await until(lambda: bool(threads))
    asking.pop().cancel()
    assert threading.active_count() <= before + 1
    go_on.set()
    assert {bytes(page.body) for page in await asyncio.gather(*asking)} == {b"page"}
    assert len(threads) == 1
