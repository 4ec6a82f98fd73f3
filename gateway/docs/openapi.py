"""The HTTP API as OpenAPI 3.1, made from the routes and constants that the gateway runs on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from inspect import getdoc
from typing import Any

import msgspec
from starlette.routing import Route

from gateway.docs.examples import history_example, snapshot_example
from gateway.endpoints import ENDPOINTS
from gateway.history import archive
from gateway.http import rest
from gateway.messages import http as bodies
from gateway.messages.http import Failure, success
from shared.catalog import CHANNEL_NAMES

_SCHEMA = "#/components/schemas/{name}"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One response: what it means, and its body: a Struct as JSON, or text of a media type.

    Without an `example`, viewers make one of the schema.
    """

    description: str
    body: Any = None
    media_type: str = _JSON
    example: Callable[[], Any] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What can't be read off a route: its group, answers and parameters."""

    tag: str
    answers: dict[int, Answer]
    parameters: tuple[dict[str, Any], ...] = ()
    headers: dict[int, dict[str, str]] = field(default_factory=dict)


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "integer", **schema}}


def _path(name: str, description: str, **schema: Any) -> dict[str, Any]:
    schema = {"type": "string", **schema}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


_SERVICE = _path("service", "One of the twelve, or `system`", enum=list(CHANNEL_NAMES))
_MOMENT = (
    "ISO 8601 (`2025-11-11T10:30:00Z`, `2025-11-11T11:30:00%2B01:00`, `2025-11-11`; UTC where it names no zone) "
    "or unix seconds (`1762857000`, `1762857000.250`), inclusive. "
)
_RETRY = {"Retry-After": "seconds"}

_BAD, _AWAY = "A parameter is not what it must be", "Redis can't be reached"
_GUIDE = {200: Answer("The document as a page", str, "text/html"), 404: Answer("There is none", Failure)}
_HANDSHAKE = Operation(
    "WebSocket handshakes",
    {
        101: Answer("The connection is a WebSocket from here on: see `/asyncapi.json`"),
        426: Answer("Asked for as a page, not as a WebSocket", Failure),
        503: Answer("This gateway takes no new connections: it is full or about to stop", Failure),
    },
    headers={426: {"Upgrade": "`websocket`"}, 503: {"Retry-After": "seconds"}},
)

OPERATIONS: dict[str, Operation] = {
    "/ws/stats": Operation(
        "Cluster",
        {
            200: Answer("Counts of the whole cluster, and a page of its clients", success("Stats", bodies.Stats)),
            400: Answer(_BAD, Failure),
            503: Answer(_AWAY, Failure),
        },
        (
            _query("limit", "Clients listed", minimum=0, maximum=rest.LARGEST_PAGE, default=rest.DEFAULT_PAGE),
            _query("cursor", "`next_cursor` of the page before", minimum=0, maximum=2**53, default=0),
        ),
    ),
    "/ws/services": Operation("Catalogue", {200: Answer("The catalogue", success("Catalogue", bodies.Catalogue))}),
    "/ws/endpoints": Operation("Catalogue", {200: Answer("The paths", success("EndpointList", bodies.EndpointList))}),
    "/api/v1/snapshot/{service}": Operation(
        "Data",
        {
            200: Answer(
                "The newest update. One ETag stands for the same bytes",
                success("Snapshot", bodies.any_of(bodies.SNAPSHOTS)),
                example=snapshot_example,
            ),
            304: Answer("It is still the one that If-None-Match names"),
            404: Answer("No such service, or (`no_update`) nothing of it has been published yet", Failure),
            503: Answer("This gateway has just started and heard nothing from Redis yet", Failure),
        },
        (
            _SERVICE,
            {
                "name": "If-None-Match",
                "in": "header",
                "description": "ETags that are known already",
                "schema": {"type": "string"},
            },
        ),
        headers={
            200: {"ETag": "of this update, on every gateway", "Cache-Control": "`public, no-cache`"},
            304: {"ETag": "of this update, on every gateway", "Cache-Control": "`public, no-cache`"},
            503: _RETRY,
        },
    ),
    "/api/v1/history/{service}": Operation(
        "Data",
        {
            200: Answer(
                "One page, oldest first, and where the next one begins",
                success("History", bodies.any_of(bodies.HISTORIES)),
                example=history_example,
            ),
            400: Answer(_BAD, Failure),
            404: Answer("No such service", Failure),
            503: Answer("The database is away (`unavailable`), or too many pages are under way (`busy`)", Failure),
        },
        (
            _SERVICE,
            _query("from", _MOMENT + "Default: an hour before `to`", type="string"),
            _query("to", _MOMENT + "Default: now", type="string"),
            _query(
                "limit",
                "Records a page; it may end earlier for its size",
                minimum=1,
                maximum=archive.LARGEST_LIMIT,
                default=archive.DEFAULT_LIMIT,
            ),
            _query("cursor", "`next_cursor` of the page before; it brings `from` and `to` along", type="string"),
        ),
        headers={503: _RETRY},
    ),
    "/health/live": Operation("Operation", {200: Answer("It does", bodies.Live)}),
    "/health/ready": Operation(
        "Operation",
        {200: Answer("They should", bodies.Readiness), 503: Answer("They should go elsewhere", bodies.Readiness)},
    ),
    "/metrics": Operation("Operation", {200: Answer("Prometheus text format", str, "text/plain")}),
    "/docs": Operation("Documentation", {200: Answer("A page for people", str, "text/html")}),
    "/docs/assets/{name}": Operation(
        "Documentation",
        {200: Answer("The file"), 404: Answer("There is no such file", Failure)},
        (_path("name", "A style sheet or script that `/docs` names"),),
    ),
    "/docs/{name}": Operation("Documentation", _GUIDE, (_path("name", "A file of `docs/`"),)),
    "/docs/{folder}/{name}": Operation(
        "Documentation", _GUIDE, (_path("folder", "`how-to`, `reference` or `adr`"), _path("name", "A file of it"))
    ),
    "/openapi.json": Operation("Documentation", {200: Answer("OpenAPI 3.1", dict[str, Any])}),
    "/asyncapi.json": Operation("Documentation", {200: Answer("AsyncAPI 3.1", dict[str, Any])}),
    **dict.fromkeys(ENDPOINTS, _HANDSHAKE),
}
"""By path. A route without an entry is missing from the document, which a test reports."""

TAGS = {
    "Data": "Updates without a WebSocket: the newest one, and those before it.",
    "Cluster": "Who is connected, to whichever replica.",
    "Catalogue": "What can be subscribed, and where.",
    "Operation": "For balancers and monitoring.",
    "Documentation": "This page and the documents behind it.",
    "WebSocket handshakes": "The paths of the WebSocket API, as HTTP sees them.",
}


def document(routes: Iterable[object], version: str) -> dict[str, Any]:
    """The OpenAPI document of `routes`."""
    answers = [answer for entry in OPERATIONS.values() for answer in entry.answers.values()]
    bodies = list(dict.fromkeys(answer.body for answer in answers if answer.body is not None))
    schemas, components = msgspec.json.schema_components(bodies, ref_template=_SCHEMA)
    schema_of = dict(zip(bodies, schemas, strict=True))
    paths = {
        route.path: {"get": _operation(route, OPERATIONS[route.path], schema_of)}
        | ({"x-websocket": True} if route.path in ENDPOINTS else {})
        for route in routes
        if isinstance(route, Route) and route.path in OPERATIONS
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "coinwire HTTP API",
            "version": version,
            "description": "Newest and past updates, statistics, catalogue and health of a cluster that streams "
            "crypto data over WebSockets. Read-only, public, without cookies.",
        },
        "servers": [{"url": "/", "description": "The gateway that serves this document"}],
        "security": [],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": dict(sorted(paths.items(), key=lambda item: list(OPERATIONS).index(item[0]))),
        "components": {"schemas": components},
    }


def _operation(route: Route, entry: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    endpoint = ENDPOINTS.get(route.path)
    operation: dict[str, Any] = {
        "operationId": (route.path.strip("/").replace("/", "_") if endpoint else route.name),
        "tags": [entry.tag],
        "summary": endpoint.description if endpoint else (getdoc(route.endpoint) or "").replace("`", ""),
        "responses": {str(status): _response(entry, status, schema_of) for status in entry.answers},
    }
    if entry.parameters:
        operation["parameters"] = list(entry.parameters)
    return operation


def _response(entry: Operation, status: int, schema_of: dict[Any, Any]) -> dict[str, Any]:
    answer = entry.answers[status]
    response: dict[str, Any] = {"description": answer.description}
    if answer.body is not None:
        content = {"schema": schema_of[answer.body]}
        response["content"] = {answer.media_type: content | ({"example": answer.example()} if answer.example else {})}
    if status in entry.headers:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in entry.headers[status].items()
        }
    return response
