"""The HTTP API as OpenAPI 3.1: from the routes, the types that are sent, and additional texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import getdoc
from typing import Any

import msgspec
from starlette.routing import Route

from gateway.docs.examples import candles_example, coins_example, history_example, snapshot_example, stream_example
from gateway.docs.filtered import with_filtered
from gateway.endpoints import ENDPOINTS
from gateway.http import rest, schemas, stream
from gateway.http.api import ApiRoute
from gateway.http.snapshot import CACHING
from gateway.messages import http as bodies
from gateway.messages.http import Failure, success
from shared.catalog import CHANNEL_NAMES

_SCHEMA = "#/components/schemas/{name}"
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One possible response: when it is sent, and its body (a Struct as JSON, or text of a media type).

    Without an `example`, viewers make one from the schema.
    """

    description: str
    body: Any = None
    media_type: str = _JSON
    example: Callable[[], Any] | None = None
    also: Mapping[str, str] = field(default_factory=dict)
    """Other media types that Accept may ask for, with what they contain. They have no schema but text."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route does not state: its group, outcomes, and parameters besides those that an ApiRoute declares."""

    tag: str
    outcomes: dict[int, Outcome]
    parameters: tuple[dict[str, Any], ...] = ()
    headers: dict[int, dict[str, str]] = field(default_factory=dict)


def _path(name: str, description: str, **schema: Any) -> dict[str, Any]:
    schema = {"type": "string", **schema}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


_SERVICE = _path("service", "One of the twelve services, or `system`", enum=list(CHANNEL_NAMES))
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETags of what the client has already",
    "schema": {"type": "string"},
}
_RETRY = {"Retry-After": "seconds"}

_BAD = "A parameter is invalid"
_REFUSED = Outcome(
    "A parameter is invalid (`invalid_parameter`), there is none of this name (`unknown_parameter`), or a filter is "
    "nothing that the service knows (`invalid_filter`)",
    Failure,
)
_EVERYWHERE = {
    406: Outcome("`Accept-Encoding` excludes every coding of the answer (`not_acceptable`)", Failure),
    414: Outcome("The address is longer than 8 KiB. The reason is a line of text"),
    431: Outcome("The head of the request is longer than 64 KiB. The reason is a line of text"),
}
"""What every route under `/api/v1` may answer, besides its own outcomes."""
_FILTERED = "With filters, `data` is what they leave of it"
_GUIDE = {200: Outcome("The document as HTML", str, "text/html"), 404: Outcome("There is no such document", Failure)}
_HANDSHAKE = Operation(
    "WebSocket handshakes",
    {
        101: Outcome("The connection is a WebSocket from now on; see `/asyncapi.json`"),
        426: Outcome("Requested without a WebSocket handshake", Failure),
        503: Outcome("This gateway accepts no new connections: it is full, not ready or about to stop", Failure),
    },
    headers={426: {"Upgrade": "`websocket`"}, 503: {"Retry-After": "seconds"}},
)

OPERATIONS: dict[str, Operation] = {
    "/ws/stats": Operation(
        "Cluster",
        {
            200: Outcome("Counts of the whole cluster, and one page of its clients", success("Stats", bodies.Stats)),
            400: Outcome(_BAD, Failure),
            503: Outcome(
                "Redis can't be read, or refuses to write (`unavailable`), or too many pages are asked for (`busy`)",
                Failure,
            ),
        },
        tuple(rest.STATS_PARAMETERS.documents),
        headers={503: _RETRY},
    ),
    "/ws/services": Operation("Catalogue", {200: Outcome("The catalogue", success("Catalogue", bodies.Catalogue))}),
    "/ws/endpoints": Operation(
        "Catalogue", {200: Outcome("The endpoints", success("EndpointList", bodies.EndpointList))}
    ),
    "/api/v1/snapshot/{service}": Operation(
        "Data",
        {
            200: Outcome(
                "The newest update. Equal ETags mean equal bytes. " + _FILTERED,
                success("Snapshot", bodies.any_of(bodies.SNAPSHOTS)),
                example=snapshot_example,
            ),
            304: Outcome("The newest update is the one named in If-None-Match"),
            400: _REFUSED,
            404: Outcome("There is no such service, or it has published nothing yet (`no_update`)", Failure),
            503: Outcome("This gateway has just started and has received nothing from Redis yet", Failure),
        },
        (
            _SERVICE,
            _IF_NONE_MATCH,
        ),
        headers={
            200: {"ETag": "identifies this update, on every gateway", "Cache-Control": "`public, no-cache`"},
            304: {"ETag": "identifies this update, on every gateway", "Cache-Control": "`public, no-cache`"},
            503: _RETRY,
        },
    ),
    "/api/v1/coins": Operation(
        "Data",
        {
            200: Outcome(
                "The coins of the newest update of `market_data`",
                success("Coins", bodies.CoinListing),
                example=coins_example,
            ),
            304: Outcome("Nothing has changed since the answer that is named in If-None-Match"),
            400: _REFUSED,
            404: Outcome("`market_data` has published nothing yet (`no_update`)", Failure),
            503: Outcome("This gateway has just started and has received nothing from Redis yet", Failure),
        },
        (_IF_NONE_MATCH,),
        headers={
            200: {"ETag": "identifies this answer", "Cache-Control": f"`{CACHING}`"},
            304: {"ETag": "identifies this answer", "Cache-Control": f"`{CACHING}`"},
            503: _RETRY,
        },
    ),
    "/api/v1/schemas/{service}": Operation(
        "Data",
        {
            200: Outcome(
                "A schema that stands by itself. `x-filters` has what a filter may ask for",
                dict[str, Any],
                schemas.MEDIA_TYPE,
            ),
            304: Outcome("The schema is the one named in If-None-Match"),
            400: _REFUSED,
            404: Outcome("There is no such service", Failure),
        },
        (_SERVICE, _IF_NONE_MATCH),
        headers={
            200: {"ETag": "identifies this schema", "Cache-Control": f"`{schemas.CACHING}`"},
            304: {"ETag": "identifies this schema", "Cache-Control": f"`{schemas.CACHING}`"},
        },
    ),
    "/api/v1/history/{service}": Operation(
        "Data",
        {
            200: Outcome(
                "One page, oldest update first, and the cursor of the next page. " + _FILTERED,
                success("History", bodies.any_of(bodies.HISTORIES)),
                example=history_example,
                also={"application/x-ndjson": "One record per line, as in `records` of a page"},
            ),
            400: _REFUSED,
            404: Outcome("There is no such service", Failure),
            503: Outcome(
                "The database can't be read (`unavailable`), or too many answers are in progress (`busy`)", Failure
            ),
            429: Outcome("NDJSON: this address is being sent lines already (`one_at_a_time`)", Failure),
        },
        (_SERVICE,),
        headers={429: _RETRY, 503: _RETRY},
    ),
    "/api/v1/candles/{coin}": Operation(
        "Data",
        {
            200: Outcome(
                "One page, oldest candle first, and the cursor of the next page; with `format=csv` or "
                "`Accept: text/csv` the candles as CSV",
                success("Candles", bodies.Candles),
                example=candles_example,
                also={"text/csv": "a line of names, then a line per candle (RFC 4180)"},
            ),
            304: Outcome("The page is the one named in If-None-Match"),
            400: Outcome(
                "A parameter is invalid, there is none of this name, or several coins have this symbol", Failure
            ),
            404: Outcome("Nothing is known of such a coin (`unknown_coin`)", Failure),
            503: Outcome(
                "The database can't be read (`unavailable`), or too many pages are in progress (`busy`)", Failure
            ),
        },
        (_path("coin", "CoinGecko id, or a symbol that only one coin has", examples=["bitcoin"]), _IF_NONE_MATCH),
        headers={
            200: {"ETag": "identifies these candles", "Cache-Control": "`public, no-cache`", "Link": "the next page"},
            304: {"ETag": "identifies these candles", "Cache-Control": "`public, no-cache`"},
            503: _RETRY,
        },
    ),
    stream.PATH: Operation(
        "Data",
        {
            200: Outcome(
                "An event stream, which goes on until one side ends it: updates as `message` events whose `id` is the "
                "position, and other messages as events named after their `type`",
                str,
                "text/event-stream",
                example=stream_example,
            ),
            400: _REFUSED,
            404: Outcome("There is no such service", Failure),
            503: Outcome("This gateway takes no new clients: it is full, not ready or about to stop", Failure),
        },
        (
            _SERVICE,
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The id of the last event received. `EventSource` sends it by itself when it comes back",
                "schema": {"type": "string"},
            },
        ),
        headers={200: {"Cache-Control": "`no-store, no-transform`"}, 503: _RETRY},
    ),
    "/health/live": Operation("Operation", {200: Outcome("Alive", bodies.Live)}),
    "/health/ready": Operation(
        "Operation",
        {
            200: Outcome("Ready for clients", bodies.Readiness),
            503: Outcome("Not ready: route clients elsewhere", bodies.Readiness),
        },
    ),
    "/metrics": Operation("Operation", {200: Outcome("Prometheus text format", str, "text/plain")}),
    "/docs": Operation("Documentation", {200: Outcome("The documentation", str, "text/html")}),
    "/docs/assets/{name}": Operation(
        "Documentation",
        {200: Outcome("The file"), 404: Outcome("There is no such file", Failure)},
        (_path("name", "The name of a style sheet or script of `/docs`"),),
    ),
    "/docs/{name}": Operation("Documentation", _GUIDE, (_path("name", "The name of a file in `docs/`"),)),
    "/docs/{folder}/{name}": Operation(
        "Documentation",
        _GUIDE,
        (_path("folder", "`how-to`, `reference` or `adr`"), _path("name", "The name of a file in that folder")),
    ),
    "/openapi.json": Operation("Documentation", {200: Outcome("OpenAPI 3.1", dict[str, Any])}),
    "/asyncapi.json": Operation("Documentation", {200: Outcome("AsyncAPI 3.1", dict[str, Any])}),
    **dict.fromkeys(ENDPOINTS, _HANDSHAKE),
}
"""By path. A test reports routes without an entry."""

TAGS = {
    "Data": "Updates without a WebSocket: the newest one, and earlier ones.",
    "Cluster": "Who is connected, on all replicas.",
    "Catalogue": "Services and endpoints.",
    "Operation": "For balancers and monitoring.",
    "Documentation": "The documentation of both APIs, for people and for tools.",
    "WebSocket handshakes": "The paths of the WebSocket API, as HTTP requests.",
}


def document(routes: Iterable[object], version: str) -> dict[str, Any]:
    """The OpenAPI document of `routes`."""
    outcomes = [outcome for entry in OPERATIONS.values() for outcome in entry.outcomes.values()]
    outcomes += _EVERYWHERE.values()
    bodies = list(dict.fromkeys(outcome.body for outcome in outcomes if outcome.body is not None))
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
        "components": {"schemas": with_filtered(components, _SCHEMA)},
    }


def _operation(route: Route, entry: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    endpoint = ENDPOINTS.get(route.path)
    operation: dict[str, Any] = {
        "operationId": (route.path.strip("/").replace("/", "_") if endpoint else route.name),
        "tags": [entry.tag],
        "summary": endpoint.description if endpoint else (getdoc(route.endpoint) or "").replace("`", ""),
        "responses": {
            str(status): _response(outcome, entry.headers.get(status, {}), schema_of)
            for status, outcome in sorted(
                (entry.outcomes | (_EVERYWHERE if isinstance(route, ApiRoute) else {})).items()
            )
        },
    }
    declared = route.documents if isinstance(route, ApiRoute) else []
    if entry.parameters or declared:
        operation["parameters"] = [*entry.parameters, *declared]
    return operation


def _response(outcome: Outcome, headers: Mapping[str, str], schema_of: dict[Any, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": outcome.description}
    if outcome.body is not None:
        content = {"schema": schema_of[outcome.body]}
        response["content"] = {
            outcome.media_type: content | ({"example": outcome.example()} if outcome.example else {})
        }
    for media_type, words in outcome.also.items():
        response["content"][media_type] = {"schema": {"type": "string", "description": words}}
    if headers:
        response["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
        }
    return response
