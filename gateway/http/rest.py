"""The HTTP side: statistics, catalogue, endpoints, health, metrics."""

from __future__ import annotations

from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.endpoints import ENDPOINTS, MASTER
from shared.catalog import ALL, CATEGORIES, CHANNEL_NAMES, SERVICES, SYSTEM, of_category
from shared.errors import BusError
from shared.timestamps import now_iso

DEFAULT_PAGE = 100  # clients listed by /ws/stats unless asked otherwise: one screen, about 20 kB
LARGEST_PAGE = 1000  # more would hold the event loop for milliseconds


def success(data: dict[str, Any]) -> JSONResponse:
    """An answer as the document has them."""
    return JSONResponse({"status": "success", "data": data, "timestamp": now_iso()})


def failure(status: int, message: str, **helps: Any) -> JSONResponse:
    """An error in the same form."""
    return JSONResponse(
        {"status": "error", "data": {"message": message, **helps}, "timestamp": now_iso()}, status_code=status
    )


def invalid_service(name: str) -> JSONResponse:
    """404 for a name that has no updates, with those that have."""
    known = list(CHANNEL_NAMES)
    return failure(404, f"Invalid service: {name}", code="invalid_service", available_services=known)


async def stats(request: Request) -> Response:
    """Connections and subscriptions of the whole cluster; `limit` and `cursor` page through the clients."""
    try:
        limit = integer(request, "limit", DEFAULT_PAGE, 0, LARGEST_PAGE)
        after = integer(request, "cursor", 0, 0, 2**53)
    except ValueError as error:
        return failure(400, str(error))
    try:
        found = await request.state.node.presence.stats(after, max(limit, 1))
    except BusError:
        return failure(503, "Presence is not available: Redis can't be reached")
    data = {
        "total_connections": found.total,
        "clients": [
            {
                "client_id": client.client_id,
                "connected_at": client.connected_at,
                "last_activity": client.last_activity,
                "subscriptions": list(client.subscriptions),
            }
            for client in found.clients[:limit]  # of limit=0: the counts alone
        ],
        "subscription_counts": found.subscription_counts,
    }
    if limit and found.next_cursor is not None:
        data["next_cursor"] = str(found.next_cursor)
    return success(data)


def integer(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A number from the query. Raises ValueError that says what it must be."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise ValueError(f"{name} must be an integer from {least} to {most}")
    return int(text)


async def services(_request: Request) -> Response:
    """The catalogue, by group."""
    groups: dict[str, Any] = {
        category: {
            name: {
                "name": SERVICES[name].title,
                "description": SERVICES[name].description,
                "update_interval": f"{SERVICES[name].interval:g} seconds",
                "endpoints": list(SERVICES[name].endpoints),
            }
            for name in of_category(category)
        }
        for category in CATEGORIES
    }
    groups[SYSTEM] = {
        SYSTEM: {
            "name": "System",
            "description": "Notices about the cluster itself",
            "update_interval": "when something happens",
            "endpoints": list(ENDPOINTS),
        },
        ALL: {
            "name": "All Services",
            "description": "Subscribe to all services at once",
            "update_interval": "each service's own",
            "endpoints": ["/ws/all"],
        },
    }
    return success({"services": groups, "master_endpoints": _of_group(MASTER)})


async def endpoints(_request: Request) -> Response:
    """Every WebSocket path with a line of description, grouped as in the document."""
    return success({f"{group}_endpoints": _of_group(group) for group in (MASTER, *CATEGORIES)})


def _of_group(group: str) -> dict[str, str]:
    return {path: endpoint.description for path, endpoint in ENDPOINTS.items() if endpoint.group == group}


async def live(_request: Request) -> Response:
    """Whether the process runs its event loop."""
    return JSONResponse({"status": "live"})


async def ready(request: Request) -> Response:
    """Whether new clients should come here: delivery from Redis proven lately, ids at hand, not draining."""
    reasons = request.state.node.unready
    status = "ready" if not reasons else "not ready"
    return JSONResponse({"status": status, "reasons": reasons}, status_code=503 if reasons else 200)


async def metrics(request: Request) -> Response:
    """Prometheus metrics of this gateway."""
    return Response(generate_latest(request.state.node.registry), media_type=CONTENT_TYPE_LATEST)


async def upgrade_required(request: Request) -> Response:
    """A WebSocket path asked for as a page."""
    response = failure(426, f"{request.url.path} is a WebSocket endpoint", documentation="/docs")
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
