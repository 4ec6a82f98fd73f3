"""docs/reference/protocol.md states what the gateway's code does, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_type_hints

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from starlette.routing import Route
from websockets.http11 import MAX_LINE_LENGTH

from gateway.app import ROUTES, create_app
from gateway.broadcast import replays
from gateway.broadcast.heartbeat import HEARTBEAT_SECONDS
from gateway.docs import VERSION
from gateway.endpoints import ENDPOINTS, SUBSCRIBABLE
from gateway.history import archive, chart_query, lines, query
from gateway.http import answers, rest
from gateway.messages.actions import COMMANDS
from gateway.messages.filtering import FILTERS, MAX_VALUE_CHARACTERS, MAX_VALUES
from gateway.messages.http import HttpCode
from gateway.protocol import (
    ACTIONS,
    COMMAND_BURST,
    COMMANDS_A_SECOND,
    ERROR_CODES,
    MAX_MESSAGE_BYTES,
    MESSAGE_TYPES,
    REFUSALS_BEFORE_CLOSE,
    CloseCode,
    parse_command,
)
from gateway.transport import http_protocol, keepalive, ws_protocol
from gateway.updates import FILTERED_BYTES
from shared.catalog import SERVICES, STALE_INTERVALS, of_category
from shared.payloads import SystemNotice
from shared.payloads.system import Pulse
from shared.settings import Settings
from tests.places import ROOT
from tests.project.test_reference import table

PAGE = (ROOT / "docs" / "reference" / "protocol.md").read_text()
APP = create_app(None)  # type: ignore[arg-type]  # documents ask nothing of a node
DEFAULTS = Settings(_env_file=None)  # type: ignore[call-arg]


def rows(first: str) -> dict[str, list[str]]:
    """The table whose first column is called `first`, by that column."""
    cells = table(PAGE, first)
    found = {re.sub(r"^`([^`]+)`$", r"\1", row[0]): row[1:] for row in cells}
    assert found, first
    assert len(found) == len(cells), first
    return found


def assert_lists(first: str, expected: Sequence[str]) -> None:
    """Assert that the table whose first column is called `first` has the rows `expected`, in their order."""
    found = list(rows(first))
    missing, unknown = (
        [name for name in expected if name not in found],
        [name for name in found if name not in expected],
    )
    where = f"docs/reference/protocol.md, table of each {first}:"
    assert not missing, f"{where} no row for {', '.join(missing)}"
    assert not unknown, f"{where} there is no {', '.join(unknown)}"
    assert found == list(expected), f"{where} its order is {', '.join(expected)}"


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON example, with the heading that it is under."""
    heading = ""
    for title, block in re.findall(r"^#+ ([^\n]+)$|^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        heading = title or heading
        if block:
            yield heading, json.loads(block)


async def served(name: str) -> dict[str, Any]:
    """`openapi` or `asyncapi`, as a gateway serves it."""
    transport = httpx.ASGITransport(app=APP)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        found: dict[str, Any] = (await client.get(f"/{name}.json")).json()
        return found


def validator(schema: dict[str, Any], document: dict[str, Any]) -> Draft202012Validator:
    """What holds a value to `schema`, with the components of its document."""
    return Draft202012Validator({**schema, "components": document["components"]})


def test_every_websocket_endpoint_is_there_with_what_it_does() -> None:
    """Each path names what it subscribes and what it lists; no other path is there."""
    documented = rows("path")
    assert list(documented) == list(ENDPOINTS)
    for path, (subscribed, listed) in documented.items():
        endpoint = ENDPOINTS[path]
        assert subscribed == (f"`{endpoint.subscribes}`" if endpoint.subscribes else "nothing"), path
        assert endpoint.lists == (SUBSCRIBABLE if listed == "all names" else of_category(listed)), path


def test_every_service_is_there_with_its_category_its_interval_and_what_it_carries() -> None:
    """The catalogue, in its order."""
    assert_lists("service", list(SERVICES))
    expected = {name: [spec.category, f"{spec.interval:g} s", spec.carries] for name, spec in SERVICES.items()}
    assert rows("service") == expected


def test_every_message_type_is_there() -> None:
    """In the protocol's order."""
    assert_lists("type", MESSAGE_TYPES)


def test_every_action_is_there_with_its_fields_and_its_reply() -> None:
    """Each action names exactly the fields that it takes, and its reply."""
    assert_lists("action", ACTIONS)
    documented = rows("action")
    for action, (takes, reply) in documented.items():
        command = COMMANDS[action]
        assert reply == f"`{command.reply.type}`", (
            f"docs/reference/protocol.md: {action} is answered by {command.reply.type}"
        )
        fields = {field.encode_name: field.required for field in msgspec.structs.fields(command)}
        assert fields.pop("id") is False
        assert set(re.findall(r"`(\w+)`", takes)) == set(fields)
        assert set(re.findall(r"optional `(\w+)`", takes)) == {name for name, needed in fields.items() if not needed}
        assert f"\n### {action}\n" in PAGE, f"docs/reference/protocol.md has no section ### {action}"


def test_every_error_code_is_there() -> None:
    """Errors of the WebSocket, in the protocol's order, and those of the HTTP API."""
    assert_lists("error code", ERROR_CODES)
    assert_lists("HTTP code", get_args(HttpCode))


def test_every_filter_is_there_with_the_services_that_have_it() -> None:
    """Each filter names exactly those whose payload type has it."""
    documented = rows("filter")
    assert set(documented) == set(FILTERS)
    for name, (services, _) in documented.items():
        having = {service for service, spec in SERVICES.items() if name in spec.filters}
        named = set(re.findall(r"`(\w+)`", services))
        assert (having == set(SERVICES) and services == "every service") or named == having, name


def test_every_close_code_is_there() -> None:
    """Each code of the gateway's own."""
    assert_lists("close code", [str(code.value) for code in CloseCode])


def test_every_system_event_is_there() -> None:
    """What `system` carries: the fields of a notice, and its events."""
    text = PAGE.partition("- `system` carries")[2].partition("\n- `all`")[0]
    events = get_args(get_type_hints(SystemNotice)["event"])
    assert set(re.findall(r"`(\w+)`", text)) - {"data"} == {*events, *SystemNotice.__struct_fields__}


def test_the_heartbeat_is_there() -> None:
    """Its keys, its interval, and after how many intervals a service is stale."""
    documented = [name for row in table(PAGE, "heartbeat key") for name in re.findall(r"`(\w+)`", row[0])]
    assert documented == list(Pulse.__struct_fields__)
    assert f"get an update every {HEARTBEAT_SECONDS:g} s that" in PAGE
    assert STALE_INTERVALS == 3
    assert "three intervals without an update, or since the gateway started" in PAGE


def test_every_http_path_is_there() -> None:
    """Each route that a gateway serves, but for the WebSocket endpoints, which have a table of their own."""
    documented = [re.sub(r"`", "", row[0]) for row in table(PAGE.partition("\n## HTTP API\n")[2], "path")]
    routed = [route.path for route in ROUTES if isinstance(route, Route) and route.path not in ENDPOINTS]
    assert sorted(documented) == sorted(routed)
    for path in re.findall(r"^### GET (\S+)", PAGE, re.MULTILINE):
        assert path in routed


def test_limits_are_those_of_the_code() -> None:
    """Numbers in the table of limits are the constants and the settings' defaults."""
    limits = {name: row[0] for name, row in rows("limit").items()}
    assert limits == {
        "size of a client's message": f"{MAX_MESSAGE_BYTES:,} bytes, over all its fragments and uncompressed",
        "commands per second": f"{COMMANDS_A_SECOND:g} on average, bursts of {COMMAND_BURST:g}",
        "control frames and fragments of a client": f"{ws_protocol.FRAMES_A_SECOND:g} per second on average, "
        f"bursts of {ws_protocol.FRAMES:g}",
        "time in which a client takes nothing of what waits for it": f"{keepalive.STALLED:g} to "
        f"{keepalive.STALLED + keepalive.LOOK:g} s",
        "refused commands in a row": f"{REFUSALS_BEFORE_CLOSE}, without a pause of 2 s in between",
        "bytes waiting for all clients of a gateway": f"{DEFAULTS.waiting_bytes // 2**20} MiB (`WAITING_BYTES`)",
        "filters of a client": f"one per service; lists of {MAX_VALUES} values of {MAX_VALUE_CHARACTERS} characters",
        "filtered updates kept to be sent again": f"{FILTERED_BYTES // 2**20} MiB per gateway, of all clients together",
        "updates waiting for a slow client": f"{DEFAULTS.outbox_messages} messages (`OUTBOX_MESSAGES`) or "
        f"{DEFAULTS.outbox_bytes // 2**20} MiB (`OUTBOX_BYTES`)",
        "updates kept for recovery": f"{DEFAULTS.history_length:,} per service (`HISTORY_LENGTH`); bursts up to "
        f"{DEFAULTS.history_bytes // 2**20} MiB (`HISTORY_BYTES`)",
        "bytes replayed, after the first replay of each service": f"{replays.BURST_BYTES // 2**20} MiB at once, "
        f"{replays.BYTES_A_SECOND // 2**20} MiB per second",
        "connections per gateway": f"{DEFAULTS.max_connections:,} (`MAX_CONNECTIONS`)",
        "time for the head of a request": f"{http_protocol.HEAD:g} s, also after a connect or behind another request",
        "size of the head of a request": f"{http_protocol.HEAD_BYTES:,} bytes, {http_protocol.HEADER_LINES} headers; "
        f"in a handshake {MAX_LINE_LENGTH:,} bytes per line",
        "size of the target of a request": f"{http_protocol.TARGET_BYTES:,} bytes",
        "requests sent before the answers of earlier ones": f"{http_protocol.PIPELINED} on a connection",
        "clients per page of `/ws/stats`": f"{rest.DEFAULT_PAGE}, at most {rest.LARGEST_PAGE:,}",
        "different pages of `/ws/stats` asked for at once per gateway": f"{answers.WANTED:,}",
        "records per page of the history": f"{query.DEFAULT_LIMIT}, at most {query.LARGEST_LIMIT:,}",
        "bytes of `data` per page of the history": f"{archive.PAGE_BYTES // 2**20} MiB",
        "candles per page": f"{chart_query.DEFAULT_LIMIT:,}, at most {chart_query.LARGEST_LIMIT:,}",
        "pages of the history and of candles at once per gateway": str(archive.UNDER_WAY),
        "answers of the history in lines at once": f"{lines.UNDER_WAY} per gateway, one per address",
    }


def test_intervals_and_the_version_are_those_of_the_code() -> None:
    """The pings' settings, and the version of the API."""
    assert f"ping frame every {DEFAULTS.ws_ping_interval:g} s (`WS_PING_INTERVAL`)" in PAGE
    assert f"The API version is {VERSION}." in PAGE
    assert f"`localhost:{DEFAULTS.port}`" in PAGE


async def test_every_example_is_a_message_that_a_gateway_could_send_or_read() -> None:
    """Commands parse; messages fit the served AsyncAPI document, HTTP answers the OpenAPI document."""
    asyncapi, openapi = await served("asyncapi"), await served("openapi")
    seen: set[str] = set()
    for heading, example in examples():
        if "action" in example:
            seen.add(parse_command(example).action)
        elif "type" in example:
            seen.add(example["type"])
            payloads = [message["payload"] for message in asyncapi["components"]["messages"].values()]
            fitting = [payload["title"] for payload in payloads if validator(payload, asyncapi).is_valid(example)]
            if len(fitting) == 2:  # a whole update is also what a filter could leave
                fitting.remove("FilteredUpdate")
            assert len(fitting) == 1, (heading, example)
        else:
            path = heading.removeprefix("GET ") if heading.startswith("GET ") else "/api/v1/history/{service}"
            answers = openapi["paths"][path]["get"]["responses"]
            answer = answers["200" if example["status"] == "success" else "400"]
            validator(answer["content"]["application/json"]["schema"], openapi).validate(example)
            seen.add(path)
    without = {
        *ACTIONS,
        *MESSAGE_TYPES,
        "/ws/stats",
        "/ws/services",
        "/api/v1/snapshot/{service}",
        "/api/v1/coins",
        "/api/v1/candles/{coin}",
    } - seen
    assert not without, f"docs/reference/protocol.md has no example in JSON of {', '.join(sorted(without))}"


@pytest.mark.parametrize("code", [CloseCode.SLOW, CloseCode.RESTART])
def test_clients_that_can_recover_are_told_to(code: CloseCode) -> None:
    """The two codes after which nothing is lost mention `since`."""
    assert "`since`" in rows("close code")[str(code.value)][1]
