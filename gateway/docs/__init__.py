"""`/docs`, `/openapi.json`, `/asyncapi.json`: rendered from the types the gateway sends, on the first request.

The handlers are plain functions: Starlette runs them in a thread, so rendering does not delay broadcasts.
"""

from __future__ import annotations

from functools import cache

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.docs import asyncapi, guides, html, openapi
from gateway.history import archive
from gateway.http import rest, snapshot
from shared.version import VERSION

_BRIEFLY = {"Cache-Control": "no-cache"}  # so that browsers don't show the previous version after an upgrade
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}  # the address changes with the content


@cache
def _openapi() -> bytes:
    return msgspec.json.encode(openapi.document((*rest.ROUTES, *snapshot.ROUTES, *archive.ROUTES, *ROUTES), VERSION))


@cache
def _asyncapi() -> bytes:
    return msgspec.json.encode(asyncapi.document(VERSION))


@cache
def _page() -> str:
    return html.render(asyncapi.document(VERSION))


def openapi_json(_request: Request) -> Response:
    """The HTTP API as OpenAPI 3.1."""
    return Response(_openapi(), media_type="application/json", headers=_BRIEFLY)


def asyncapi_json(_request: Request) -> Response:
    """The WebSocket API as AsyncAPI 3.1."""
    return Response(_asyncapi(), media_type="application/json", headers=_BRIEFLY)


def docs(_request: Request) -> Response:
    """Documentation of the HTTP and the WebSocket API, as HTML."""
    return HTMLResponse(_page(), headers=_BRIEFLY | html.SECURITY)


def guide(request: Request) -> Response:
    """A document of the repository as HTML: a how-to, a reference or a decision."""
    path = "/".join(request.path_params.values())
    if path not in guides.guides():
        return rest.nothing_at(request)
    return HTMLResponse(html.render_guide(path), headers=_BRIEFLY | html.SECURITY)


def asset(request: Request) -> Response:
    """A style sheet or script of `/docs`."""
    name = request.path_params["name"]
    if name not in html.ASSETS:
        return rest.nothing_at(request)
    current = request.query_params.get("v") == html.fingerprint(name)
    return FileResponse(html.ASSETS[name], headers=(_FOR_EVER if current else _BRIEFLY) | html.NO_SNIFFING)


ROUTES: list[BaseRoute] = [
    Route("/docs", docs),
    Route("/docs/assets/{name}", asset),
    Route("/docs/{name}", guide, name="guide"),
    Route("/docs/{folder}/{name}", guide, name="guide_in_folder"),
    Route("/openapi.json", openapi_json),
    Route("/asyncapi.json", asyncapi_json),
]
