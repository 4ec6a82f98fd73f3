"""The routes. Starts nothing: Node owns what runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TypedDict, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from gateway import docs
from gateway.endpoints import ENDPOINTS
from gateway.history import charts, serving
from gateway.http import admission, coins, rest, schemas, snapshot, stream
from gateway.http.sending import Sending
from gateway.messages.faults import echo
from gateway.messages.http import FailureData
from gateway.session import Session
from gateway.transport.opening import EXTENSION
from gateway.transport.ws_protocol import FrameProtocol

ROUTES = (
    *rest.ROUTES,
    *snapshot.ROUTES,
    *coins.ROUTES,
    *schemas.ROUTES,
    *serving.ROUTES,
    *charts.ROUTES,
    *stream.ROUTES,
    *docs.ROUTES,
)
"""What is served over HTTP. WebSocket endpoints need no routes: `ENDPOINTS` has their paths."""

JSON, MSGPACK = "json", "msgpack"
"""The subprotocols: text frames with JSON, which need no subprotocol, and binary frames with MessagePack."""


class AppPort(admission.AdmissionPort, rest.RestPort, coins.CoinsPort, serving.HistoryPort, charts.ChartPort, Protocol):
    """What requests ask of the node that they reach. The node imports this module, and not the other way round."""


class RequestState(TypedDict):
    """What every request finds in `state`."""

    node: AppPort


def create_app(node: AppPort) -> ASGIApp:
    """The application that serves `node`."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[RequestState]:
        yield {"node": node}

    http = Starlette(
        routes=ROUTES,
        # The API is public and without cookies: any website may read it, as any may open a WebSocket.
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=["*"],
                allow_methods=["GET", "HEAD"],
                allow_headers=["If-None-Match", "Last-Event-ID"],
                expose_headers=["ETag", "Link", "Retry-After"],
            ),
            Middleware(Sending),
        ],
        exception_handlers={404: not_found, 405: method_not_allowed},
        lifespan=lifespan,
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # straight to `connect`: routes and middleware are HTTP's
            await connect(WebSocket(scope, receive, send))
        else:
            await http(scope, receive, send)

    return app


async def connect(websocket: WebSocket) -> None:
    """Accept a client, and give its connection a session."""
    node: AppPort = websocket.state.node
    endpoint = ENDPOINTS.get(websocket.scope["path"])
    if endpoint is None:
        await refuse_unknown(websocket)
        return
    number = admission.admit(node, websocket)
    if isinstance(number, Response):
        await websocket.send_denial_response(number)
        return
    offered = websocket.scope["subprotocols"]  # the first is what the client prefers (RFC 6455, 4.1)
    subprotocol = next((name for name in offered if name in (JSON, MSGPACK)), None)
    binary = subprotocol == MSGPACK
    socket = cast(FrameProtocol, websocket.scope["extensions"][EXTENSION])
    socket.address = admission.address_of(websocket)
    session = Session(
        node,
        socket,
        endpoint,
        number,
        binary=binary,
        meta=binary or websocket.query_params.get("meta") in ("1", "true"),
    )
    await websocket.accept(subprotocol=subprotocol)
    node.metrics.accepted.labels(endpoint.path).inc()
    node.add(session)
    session.begin(websocket.query_params.multi_items())


async def refuse_unknown(websocket: WebSocket) -> None:
    """Refuse a WebSocket on a path that does not exist, at the handshake."""
    node: AppPort = websocket.state.node
    node.refusals.note(admission.address_of(websocket), "unknown path")
    message = f"No WebSocket endpoint {echo(websocket.scope['path'])}"
    await websocket.send_denial_response(
        rest.failure(404, FailureData(message=message, available_endpoints=list(ENDPOINTS)))
    )


async def not_found(request: Request, _error: Exception) -> Response:
    """404: there is no such path."""
    return rest.nothing_at(request)


async def method_not_allowed(request: Request, error: Exception) -> Response:
    """405: the API is read-only."""
    message = f"{request.method} is not allowed here: this API is read-only"
    response = rest.failure(405, FailureData(message=message))
    response.headers.update(getattr(error, "headers", None) or {})  # Allow
    return response
