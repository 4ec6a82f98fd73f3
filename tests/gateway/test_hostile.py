"""Every parameter of every route, and every filter, against hostile values: a clear refusal or a true answer.

Routes and parameters come from `/openapi.json`, filters from the catalogue: what is new is tested by itself.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from gateway.app import ROUTES
from gateway.docs.openapi import document
from gateway.filters.reading import known_filters
from gateway.messages.filtering import FILTERS
from gateway.transport import http_protocol
from shared.catalog import CHANNEL_NAMES, SERVICES
from tests.gateway.hostile import SEGMENTS, TEXTS
from tests.gateway.raw import Raw, dial
from tests.gateway.serving import Gateway
from tests.gateway.stocked import stocked as settings

__all__ = ["settings"]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_errors")]  # thousands of requests

DOCUMENT = document(ROUTES, "0")
ENOUGH = 100  # characters of what a client sent that an error repeats
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""A number in a query: as in JSON."""


@dataclass
class Answer:
    """What a request got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        """`data` of an answer that must be an error in the documented form."""
        found = json.loads(self.body)
        schema = {"$ref": "#/components/schemas/Failure", "components": DOCUMENT["components"]}
        Draft202012Validator(schema).validate(found)
        data: dict[str, Any] = found["data"]
        return data


class Asking:
    """Sends targets as they are, byte by byte."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._raw: Raw | None = None
        self._dialled: Any = None

    async def get(self, target: bytes) -> Answer:
        """The answer; of an event stream only its head."""
        if self._raw is None:
            self._dialled = dial(self._port)
            self._raw = await self._dialled.__aenter__()
        await self._raw.send(b"GET " + target + b" HTTP/1.1\r\nHost: coinwire\r\n\r\n")
        first, *lines = (await self._raw.head()).split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = headers.get("content-length")
        body = b"" if size is None else await self._raw._take(int(size))
        if size is None or headers.get("connection") == "close":
            await self.close()
        return Answer(int(first.split()[1]), headers, body)

    async def close(self) -> None:
        """Hang up."""
        if self._dialled is not None:
            await self._dialled.__aexit__(None, None, None)
        self._raw = self._dialled = None


@asynccontextmanager
async def asking(gateway: Gateway) -> AsyncIterator[Asking]:
    """A client of the gateway."""
    found = Asking(gateway.node.port)
    try:
        yield found
    finally:
        await found.close()


def api() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each route under `/api/v1`, and its operation."""
    for path, item in DOCUMENT["paths"].items():
        if path.startswith("/api/"):
            yield path, item["get"]


def queries(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """The parameters of its query."""
    return [each for each in operation.get("parameters", ()) if each["in"] == "query"]


def of_path(path: str, service: str = "news") -> bytes:
    """A path that exists."""
    return path.format(service=service, coin="bitcoin").encode()


def places(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Service and parameter, for every parameter of a query. A filter: for a service that has it, and one that not."""
    for parameter in queries(DOCUMENT["paths"][path]["get"]):
        name, services = parameter["name"], ["news"]
        if name in FILTERS and "{service}" in path:
            having = [service for service in SERVICES if name in known_filters(service)]
            services = [having[0], next(each for each in CHANNEL_NAMES if name not in known_filters(each))]
        for service in services:
            yield service, parameter


def allowed(parameter: dict[str, Any], raw: bytes) -> bool:
    """Whether the schema of a parameter allows a text."""
    text = unquote_plus(raw.decode())
    schema = parameter["schema"]
    value: Any = text
    if schema["type"] == "array":
        value = [item.strip() for item in text.split(",")] if text.strip() else []
    elif schema["type"] in ("integer", "number") and NUMBER.fullmatch(text):
        value = json.loads(text) if len(text) < ENOUGH else text
    return bool(Draft202012Validator(schema).is_valid(value))


def repeats_little(message: str, raw: bytes) -> bool:
    """Whether an error repeats at most ENOUGH characters of what was sent."""
    text = unquote_plus(raw.decode())
    return len(text) <= ENOUGH or text[: ENOUGH + 1] not in message


PATHS = [path for path, _ in api()]


@pytest.mark.parametrize("path", PATHS)
async def test_a_hostile_value_is_refused_by_name_or_answered_truly(gateway: Gateway, path: str) -> None:
    """What the schema refuses is 400 and names the parameter; what it allows is never an error of ours."""
    wrong: list[Any] = []
    async with asking(gateway) as client:
        for service, parameter in places(path):
            name = parameter["name"]
            for what, raw in TEXTS.items():
                target = of_path(path, service) + b"?" + name.encode() + b"=" + raw
                answer = await client.get(target)
                if answer.status == 400:
                    data = answer.data
                    code = "invalid_filter" if name in FILTERS else "invalid_parameter"
                    if name not in data["message"] or not repeats_little(data["message"], raw) or data["code"] != code:
                        wrong.append((service, name, what, data))
                elif answer.status != 200 or not allowed(parameter, raw):
                    wrong.append((service, name, what, answer.status, answer.body[:100]))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("path", [path for path in PATHS if "{" in path])
async def test_a_hostile_name_in_a_path_is_refused(gateway: Gateway, path: str) -> None:
    """400, or 404 for a path that is nothing, in the documented form; a long name is cut in the message."""
    wrong: list[Any] = []
    async with asking(gateway) as client:
        for what, raw in SEGMENTS.items():
            answer = await client.get(re.sub(r"\{[a-z]+\}", "%b", path).encode() % raw)
            if answer.status not in (400, 404) or not repeats_little(answer.data["message"], raw):
                wrong.append((what, answer.status, answer.body[:200]))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("kind", ["query", "path", "header"])
async def test_a_megabyte_is_refused_at_the_head(gateway: Gateway, kind: str) -> None:
    """414 for a target, 431 for headers, before all of it is read, on every route; others are served meanwhile."""
    large = b"a" * 1_000_000
    for path in PATHS:
        target = of_path(path)
        target += b"?limit=" + large if kind == "query" else b"/" + large if kind == "path" else b""
        async with dial(gateway.node.port) as raw:
            head = b"GET " + target + b" HTTP/1.1\r\nHost: coinwire\r\n"
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # it is cut while it sends
                await raw.send(head + (b"Last-Event-ID: " + large if kind == "header" else b"") + b"\r\n\r\n")
            assert (await raw.head()).split()[1] == ("431" if kind == "header" else "414"), path
    assert (await gateway.http.get("/health/live")).status_code == 200


def test_the_limits_of_a_head_are_documented() -> None:
    """With the numbers that hold, on every route."""
    for _, operation in api():
        assert f" {http_protocol.TARGET_BYTES // 1024} KiB" in operation["responses"]["414"]["description"]
        assert f" {http_protocol.HEAD_BYTES // 1024} KiB" in operation["responses"]["431"]["description"]


@pytest.mark.parametrize("target", [b"/ws/services?\x00", b"/ws/services?a b", b"/ws/\x7f", b"services", b""])
async def test_a_target_that_is_none_ends_the_connection(gateway: Gateway, target: bytes) -> None:
    """400 from the parser of HTTP."""
    async with dial(gateway.node.port) as raw:
        await raw.send(b"GET " + target + b" HTTP/1.1\r\nHost: coinwire\r\n\r\n")
        assert (await raw.head()).split()[1] == "400"


PAGED = [
    b"/api/v1/history/news?limit=1",
    b"/api/v1/history/market_data?limit=1&coins=bitcoin",
    b"/api/v1/history/market_data?limit=1&coins=ethereum",
    b"/api/v1/history/market_data?limit=1&coins=bitcoin&fields=prices",
    b"/api/v1/history/market_data?limit=1&from=2020-01-01",
    b"/api/v1/history/market_data?limit=1&from=2020-01-02",
    b"/api/v1/candles/bitcoin?limit=1&interval=1m&from=2020-01-01",
    b"/api/v1/candles/bitcoin?limit=1&interval=1m&from=2020-01-02",
    b"/api/v1/candles/ethereum?limit=1&interval=1m&from=2020-01-01",
]
"""Queries that have more than one page, of every route with cursors."""


def spoiled(cursor: bytes) -> Iterator[bytes]:
    """Cursors that no gateway made."""
    yield from (cursor[:-1], cursor[1:], cursor + b"A", cursor * 2, cursor.swapcase(), cursor[::-1], b"a" * 3000)
    yield from (cursor + b"%00", cursor + b"=", b"%20" + cursor, cursor + b"%0A", cursor.replace(cursor[9:10], b"_", 1))


async def test_a_cursor_of_another_query_is_refused(gateway: Gateway) -> None:
    """Of another endpoint, service, coin, range or filter, and one that was spoiled: 400 that says what is wrong."""
    assert {path for path, each in api() if "cursor" in {parameter["name"] for parameter in queries(each)}} == {
        path for path in PATHS if any(re.match(re.sub(r"\{.*", "", path), target.decode()) for target in PAGED)
    }
    wrong: list[Any] = []
    async with asking(gateway) as client:
        pages = [json.loads((await client.get(target)).body)["data"] for target in PAGED]
        cursors = [page["next_cursor"].encode() for page in pages]
        for target, own in zip(PAGED, cursors, strict=True):
            assert (await client.get(target + b"&cursor=" + own)).status == 200
            for cursor in {*cursors, *spoiled(own)} - {own}:
                answer = await client.get(target + b"&cursor=" + cursor)
                if answer.status != 400 or not answer.data["message"].startswith("cursor"):
                    wrong.append((target, cursor in cursors, cursor, answer.status, answer.body[:150]))
    assert not wrong, "\n".join(map(str, wrong))
