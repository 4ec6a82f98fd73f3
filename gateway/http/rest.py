"""The HTTP side: statistics, catalogue, endpoints, health, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.endpoints import ENDPOINTS, MASTER
from gateway.http.answers import Answers, BusyError
from gateway.http.parameters import ParameterError, Parameters, integer
from gateway.messages.faults import echo
from gateway.messages.http import (
    Catalogue,
    CatalogueEntry,
    Client,
    EndpointList,
    Failure,
    FailureData,
    Live,
    Readiness,
    Stats,
    Success,
)
from shared.bus.stats_reader import ClusterStats, StatsReader
from shared.catalog import ALL, CATEGORIES, CHANNEL_NAMES, FIELDS, SERVICES, SYSTEM, of_category
from shared.errors import BusError
from shared.metrics import GatewayMetrics
from shared.timestamps import now_iso

DEFAULT_PAGE = 100  # clients per page of /ws/stats unless `limit` is given: about 20 kB
LARGEST_PAGE = 1000  # clients per page; more would block the event loop for milliseconds
_RETRY_SECONDS = 1  # Retry-After of /ws/stats: an answer is made anew a second later


class RestPort(Protocol):
    """What these routes need from the node."""

    stats: StatsAnswers
    metrics: GatewayMetrics
    registry: CollectorRegistry

    @property
    def unready(self) -> list[str]:
        """Why this gateway is not ready for clients; empty when it is."""
        ...


_to_json = msgspec.json.Encoder().encode


NOT_KEPT = {"Cache-Control": "no-store"}
"""Headers of an answer that is true only now, or that nobody else asks for: a cache does not store it."""
_A_MINUTE = {"Cache-Control": "public, max-age=60"}  # what changes with an upgrade only


def respond(body: msgspec.Struct, status: int = 200, headers: Mapping[str, str] = NOT_KEPT) -> Response:
    """`body` as a JSON response."""
    return Response(_to_json(body), status, headers, "application/json")


def success(data: msgspec.Struct, headers: Mapping[str, str] = NOT_KEPT) -> Response:
    """A successful answer that carries `data`."""
    return respond(Success(status="success", data=data, timestamp=now_iso()), headers=headers)


def failure(status: int, data: FailureData) -> Response:
    """An error in the same form."""
    return respond(Failure(status="error", data=data, timestamp=now_iso()), status)


def nothing_at(request: Request) -> Response:
    """404 for a path that does not exist."""
    return failure(404, FailureData(message=f"Nothing at {echo(request.url.path)}", documentation="/docs"))


def invalid_service(name: str) -> Response:
    """404 for a name that is no service, with the names that are."""
    message, known = f"Invalid service: {echo(name)}", list(CHANNEL_NAMES)
    return failure(404, FailureData(message=message, code="invalid_service", available_services=known))


class StatsPage(NamedTuple):
    """What a page of /ws/stats is asked by."""

    after: int
    limit: int


StatsAnswers = Answers[StatsPage, tuple[int, bytes]]
"""Pages of /ws/stats, as status and body."""


def stats_answers(reader: StatsReader) -> StatsAnswers:
    """The pages of `reader`, shared by all requests."""

    async def make(page: StatsPage) -> tuple[int, bytes]:
        try:
            found = await reader.read(page.after, max(page.limit, 1))
        except BusError:
            message = "Presence is not available: Redis can't be reached, or refuses to write"
            answer = failure(503, FailureData(message=message, code="unavailable"))
        else:
            answer = success(_stats_of(found, page.limit))
        return answer.status_code, bytes(answer.body)

    return Answers(make, lambda: reader.presence.changes, favourite=StatsPage(0, DEFAULT_PAGE))


def _stats_of(found: ClusterStats, limit: int) -> Stats:
    clients = [
        Client(
            client_id=client.client_id,
            connected_at=client.connected_at,
            last_activity=client.last_activity,
            subscriptions=list(client.subscriptions),
        )
        for client in found.clients[:limit]  # limit=0 asks for the counts only
    ]
    return Stats(
        total_connections=found.total,
        clients=clients,
        subscription_counts=found.subscription_counts,
        next_cursor=str(found.next_cursor) if limit and found.next_cursor is not None else msgspec.UNSET,
    )


_LIMIT = integer("limit", "Clients per page", 0, LARGEST_PAGE, DEFAULT_PAGE)
_AFTER = integer("cursor", "`next_cursor` of the previous page", 0, 2**53, 0)
STATS_PARAMETERS = Parameters((_LIMIT, _AFTER))


async def stats(request: Request) -> Response:
    """Connections and subscriptions of the whole cluster. `limit` and `cursor` page through the clients."""
    try:
        asked = STATS_PARAMETERS.read_leniently(request.query_params)
    except ParameterError as error:
        return failure(400, FailureData(message=str(error)))
    node: RestPort = request.state.node
    try:
        (status, body), made = await node.stats.get(StatsPage(asked[_AFTER], asked[_LIMIT]))
    except BusyError:
        response = failure(503, FailureData(message="Too many pages are asked for: try again", code="busy"))
        outcome = "busy"
    else:
        response = Response(body, status, NOT_KEPT, "application/json")
        outcome = "unavailable" if status != 200 else "made" if made else "shared"
    node.metrics.stats.labels(outcome).inc()
    if response.status_code == 503:
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response


async def services(_request: Request) -> Response:
    """The catalogue, by group."""
    groups = {category: {name: _entry(name) for name in of_category(category)} for category in CATEGORIES}
    groups[SYSTEM] = {
        SYSTEM: CatalogueEntry(
            name="System",
            description="Notices about the cluster itself",
            update_interval="when something happens",
            endpoints=list(ENDPOINTS),
            filters=[],
        ),
        ALL: CatalogueEntry(
            name="All Services",
            description="Subscribe to all services at once",
            update_interval="each service's own",
            endpoints=["/ws/all"],
            filters=[FIELDS],
        ),
    }
    return success(Catalogue(services=groups, master_endpoints=_of_group(MASTER)), _A_MINUTE)


def _entry(name: str) -> CatalogueEntry:
    spec = SERVICES[name]
    return CatalogueEntry(
        name=spec.title,
        description=spec.description,
        update_interval=f"{spec.interval:g} seconds",
        endpoints=list(spec.endpoints),
        filters=list(spec.filters),
    )


async def endpoints(_request: Request) -> Response:
    """Every WebSocket path with a line of description, by category."""
    groups = {f"{group}_endpoints": _of_group(group) for group in (MASTER, *CATEGORIES)}
    return success(EndpointList(**groups), _A_MINUTE)


def _of_group(group: str) -> dict[str, str]:
    return {path: endpoint.description for path, endpoint in ENDPOINTS.items() if endpoint.group == group}


async def live(_request: Request) -> Response:
    """Whether the process is alive: its event loop runs."""
    return respond(Live(status="live"))


async def ready(request: Request) -> Response:
    """Whether the gateway is ready for clients: it hears from Redis, has client numbers, and is not draining."""
    node: RestPort = request.state.node
    reasons = node.unready
    return respond(Readiness(status="not ready" if reasons else "ready", reasons=reasons), 503 if reasons else 200)


async def metrics(request: Request) -> Response:
    """Prometheus metrics of this gateway."""
    node: RestPort = request.state.node
    return Response(generate_latest(node.registry), headers=NOT_KEPT, media_type=CONTENT_TYPE_LATEST)


async def upgrade_required(request: Request) -> Response:
    """426: a WebSocket path requested without a handshake."""
    message = f"{request.url.path} is a WebSocket endpoint"
    response = failure(426, FailureData(message=message, documentation="/docs"))
    response.headers["Upgrade"] = "websocket"
    return response


ROUTES = [
    Route("/ws/stats", stats),
    Route("/ws/services", services),
    Route("/ws/endpoints", endpoints),
    Route("/health/live", live),
    Route("/health/ready", ready),
    Route("/metrics", metrics),
    *(Route(path, upgrade_required) for path in ENDPOINTS),
]
