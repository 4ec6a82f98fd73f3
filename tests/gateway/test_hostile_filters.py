"""Every filter on a WebSocket, in text, in MessagePack and in the address, against hostile values: `invalid_filter`."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote_plus

import msgpack
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from gateway.endpoints import ENDPOINTS, expand
from gateway.filters.reading import known_filters
from gateway.messages.filtering import FILTERS, RULES
from gateway.protocol import BYTES_PER_TOKEN, COMMAND_BURST
from shared.catalog import CHANNEL_NAMES, SERVICES
from shared.payloads.filtering import Choice, Least
from tests.gateway.hostile import NO_LISTS, NO_NUMBERS, TEXTS
from tests.gateway.raw import code_of, connect, dial, frame, upgrade
from tests.gateway.serving import Gateway

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_errors")]  # a thousand commands, a few per connection

LARGEST = 500  # characters of an error's message, which names what there is
TOO_LONG = 101  # characters of what a client sent that an error does not repeat
AT_ONCE = COMMAND_BURST - 2  # what the commands of one connection may cost

UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\ufffd]")
"""What no name has, of the table."""

NO_FILTERS: dict[str, Any] = {
    "a string": "coins=bitcoin",
    "an array": [{"coins": ["bitcoin"]}],
    "a number": 5,
    "true": True,
    "an unknown name": {"coin": ["bitcoin"]},
    "an empty name": {"": ["bitcoin"]},
    "a name of 5,000 characters": {"c" * 5000: ["bitcoin"]},
    "SQL": {"'; DROP TABLE updates; --": ["x"]},
    "NUL": {"\0": ["x"]},
    "a right and a wrong one": {"fields": ["timestamp"], "nonsense": 1},
}


def wrong() -> Iterator[tuple[str, Any, str]]:
    """Service, filter, and what its error must name."""
    for service in CHANNEL_NAMES:
        for raw in NO_FILTERS.values():
            yield service, raw, "filter"
        for name in FILTERS:
            if name not in known_filters(service):
                yield service, {name: ["x"]}, name
                continue
            table = NO_NUMBERS if isinstance(RULES.get(name), Least) else NO_LISTS
            for value in table.values():
                yield service, {name: value}, name
        if service in SERVICES:
            for value in ("'; DROP TABLE updates; --", "x" * 100, "Timestamp", " timestamp"):
                yield service, {"fields": ["timestamp", value]}, "fields"


def check(error: dict[str, Any], service: str, name: str, sent: Any) -> None:
    """An error must be `invalid_filter` that names what is wrong and repeats little of it."""
    data = error["data"]
    assert (error["type"], data["code"], data["service"]) == ("error", "invalid_filter", service), (sent, error)
    assert data["known"] == known_filters(service)
    assert name in data["message"], (sent, data)
    assert len(data["message"]) < LARGEST
    assert not any(character * TOO_LONG in data["message"] for character in "ac9x")


@asynccontextmanager
async def client(gateway: Gateway, path: str, *, binary: bool) -> AsyncIterator[ClientConnection]:
    """A client past its greeting."""
    protocols = [websockets.Subprotocol("msgpack")] if binary else None
    async with websockets.connect(f"ws://127.0.0.1:{gateway.node.port}{path}", subprotocols=protocols) as socket:
        await receive(socket)
        yield socket


async def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next message."""
    message = await socket.recv()
    found: dict[str, Any] = msgpack.unpackb(message) if isinstance(message, bytes) else json.loads(message)
    return found


def by_connection(binary: bool) -> Iterator[list[tuple[bytes | str, str, str]]]:
    """The commands with those filters, as many as one connection may send; with service, and what an error names."""
    left, found = AT_ONCE, []
    for service, raw, name in wrong():
        command = {"action": "subscribe", "service": service, "filter": raw}
        sent = msgpack.packb(command) if binary else json.dumps(command)
        cost = max(1.0, len(sent) / BYTES_PER_TOKEN)
        if cost > left:
            yield found
            left, found = AT_ONCE, []
        left -= cost
        found.append((sent, service, name))
    yield found


@pytest.mark.parametrize("binary", [False, True], ids=["text", "msgpack"])
async def test_a_hostile_filter_is_an_error_and_changes_nothing(gateway: Gateway, binary: bool) -> None:
    """Every service, each filter that it has and each that it has not; the connection stays, without a subscription."""
    for commands in by_connection(binary):
        async with client(gateway, "/ws/data", binary=binary) as socket:
            for sent, service, name in commands:
                await socket.send(sent)
                check(await receive(socket), service, name, sent)
            await socket.send(msgpack.packb({"action": "get_status"}) if binary else '{"action":"get_status"}')
            assert (await receive(socket))["data"]["subscriptions"] == []


@pytest.mark.parametrize(
    "sent",
    [
        '{"action":"subscribe","service":"market_data","filter":{"coins":["\\ud800"]}}',
        '{"action":"subscribe","service":"whale_tracking","filter":{"min_value_usd":1e999}}',
        '{"action":"subscribe","service":"whale_tracking","filter":{"min_value_usd":NaN}}',
        '{"action":"subscribe","service":"whale_tracking","filter":{"min_value_usd":-Infinity}}',
        '{"action":"subscribe","service":"whale_tracking","filter":{"min_value_usd":' + "9" * 400 + "}}",
        msgpack.packb({"action": "subscribe", "service": "market_data", "filter": {"coins": [b"\xff\x00"]}}),
        msgpack.packb({"action": "subscribe", "service": "market_data", "filter": {1: ["bitcoin"]}}),
        msgpack.packb({"action": "subscribe", "service": "market_data", "filter": {b"coins": ["bitcoin"]}}),
        msgpack.packb({"action": "subscribe", "service": "whale_tracking", "filter": {"min_value_usd": float("nan")}}),
        msgpack.packb({"action": "subscribe", "service": "whale_tracking", "filter": {"min_value_usd": float("inf")}}),
        msgpack.packb({"action": "subscribe", "service": "news", "filter": msgpack.ExtType(5, b"x")}),
        msgpack.packb({"action": "subscribe", "service": "news", "filter": {"sources": msgpack.Timestamp(1)}}),
    ],
    ids=lambda sent: repr(sent[:90]),
)
async def test_what_only_one_encoding_has_is_an_error_too(gateway: Gateway, sent: str | bytes) -> None:
    """Half surrogates and huge numbers of JSON; bytes, keys and extensions of MessagePack."""
    async with client(gateway, "/ws/data", binary=isinstance(sent, bytes)) as socket:
        await socket.send(sent)
        answer = await receive(socket)
        assert answer["type"] == "error", answer
        assert answer["data"]["code"] in ("invalid_filter", "invalid_json", "invalid_msgpack", "invalid_message")
        await socket.send(msgpack.packb({"action": "ping"}) if isinstance(sent, bytes) else '{"action":"ping"}')
        assert (await receive(socket))["type"] == "pong"


@pytest.mark.parametrize("opcode", [1, 2], ids=["text", "msgpack"])
async def test_a_filter_of_a_megabyte_closes_with_1009(gateway: Gateway, opcode: int) -> None:
    """Before it is read."""
    large = json.dumps({"action": "subscribe", "service": "market_data", "filter": {"coins": ["a" * 1_000_000]}})
    async with connect(gateway.node.port) as raw:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # it is cut while it sends
            await raw.send(frame(large, opcode))
        assert code_of((await raw.until_close())[-1]) == 1009


def taken(name: str, text: str) -> bool:
    """Whether a text of an address is a value of a filter."""
    rule = RULES.get(name)
    if isinstance(rule, Least):
        return bool(re.fullmatch(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?", text)) and len(text) < 300
    values = [value.strip(" ") for value in text.split(",")]
    fit = all(1 <= len(value) <= 100 and not UNFIT.search(value) for value in values)
    return isinstance(rule, Choice) and fit and len(values) <= 250


@pytest.mark.parametrize("path", [path for path, endpoint in ENDPOINTS.items() if endpoint.subscribes])
async def test_a_hostile_address_is_greeted_with_an_error(gateway: Gateway, path: str) -> None:
    """Without a subscription then; a filter that holds is repeated by the confirmation. None is silently ignored."""
    services = expand((str(ENDPOINTS[path].subscribes),))
    names = [name for name in FILTERS if all(name in known_filters(service) for service in services)]
    for name in names:
        for what, text in TEXTS.items():
            async with dial(gateway.node.port) as raw:
                await raw.send(upgrade(f"{path}?{name}={text.decode()}"))
                assert (await raw.head()).startswith("HTTP/1.1 101 ")
                messages = [await raw.message() for _ in range(2)]
            established, answer = messages if messages[0]["type"] == "connection_established" else messages[::-1]
            if taken(name, unquote_plus(text.decode())):
                assert answer["data"]["filter"][name], (name, what, answer)
            else:
                assert established["data"]["subscriptions"] == []
                check(answer, services[0], name, what)


async def test_a_filter_of_another_service_in_an_address_is_an_error(gateway: Gateway) -> None:
    """Also of endpoints that subscribe to nothing, or to several services."""
    for path, endpoint in ENDPOINTS.items():
        services = expand((endpoint.subscribes,)) if endpoint.subscribes else ()
        for name in FILTERS:
            if services and all(name in known_filters(service) for service in services):
                continue
            heard = await gateway.exchange(f"{path}?{name}=5")
            codes = [message["data"]["code"] for message in heard if message["type"] == "error"]
            assert codes == ["invalid_filter"], (path, name)
            assert not any(message["type"] == "update" for message in heard)
