"""`/docs`, `/openapi.json`, `/asyncapi.json`: rendered from the types the gateway sends, on the first request.

Pages are kept: rendering one takes a tenth of a second, in a thread. One is rendered at a time, for all who wait for
it, because threads take turns with the loop that broadcasts, and a crowd of them would delay it by seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import threading
from collections.abc import Callable, Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.docs import asyncapi, guides, html, openapi
from gateway.history import charts, serving
from gateway.http import coins, rest, schemas, snapshot, stream
from shared.version import VERSION

_BRIEFLY = {"Cache-Control": "no-cache"}  # so that browsers don't show the previous version after an upgrade
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}  # the address changes with the content

_rendered: dict[str, bytes] = {}  # by address: at most one per document and asset, 3 MB in all
_etags: dict[str, str] = {}
_ETAG_BYTES = 12  # enough that two versions of a page never share a tag
_rendering = threading.Lock()
_renderings: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[bytes]] = {}


async def _page(address: str, render: Callable[[], bytes], media_type: str, headers: Mapping[str, str]) -> Response:
    """The page at `address`, which `render` makes on the first request."""
    body = _rendered.get(address)
    if body is None:
        key = asyncio.get_running_loop(), address
        if key not in _renderings:
            _renderings[key] = asyncio.create_task(asyncio.to_thread(_render, address, render))
            _renderings[key].add_done_callback(lambda _: _renderings.pop(key))
        body = await asyncio.shield(_renderings[key])
    return Response(body, media_type=media_type, headers={**headers, "ETag": _etags[address]})


def _render(address: str, render: Callable[[], bytes]) -> bytes:
    with _rendering:
        if address not in _rendered:
            body = render()
            _etags[address] = f'"{hashlib.blake2s(body, digest_size=_ETAG_BYTES).hexdigest()}"'
            _rendered[address] = body
        return _rendered[address]


def _openapi() -> bytes:
    data = (*snapshot.ROUTES, *coins.ROUTES, *schemas.ROUTES, *serving.ROUTES, *charts.ROUTES, *stream.ROUTES)
    routes = (*rest.ROUTES, *data, *ROUTES)
    return msgspec.json.encode(openapi.document(routes, VERSION))


def _asyncapi() -> bytes:
    return msgspec.json.encode(asyncapi.document(VERSION))


def _docs() -> bytes:
    return html.render(asyncapi.document(VERSION)).encode()


async def openapi_json(_request: Request) -> Response:
    """The HTTP API as OpenAPI 3.1."""
    return await _page("openapi.json", _openapi, "application/json", _BRIEFLY)


async def asyncapi_json(_request: Request) -> Response:
    """The WebSocket API as AsyncAPI 3.1."""
    return await _page("asyncapi.json", _asyncapi, "application/json", _BRIEFLY)


async def docs(_request: Request) -> Response:
    """Documentation of the HTTP and the WebSocket API, as HTML."""
    return await _page("docs", _docs, "text/html", _BRIEFLY | html.SECURITY)


async def guide(request: Request) -> Response:
    """A document of the repository as HTML: a how-to, a reference or a decision."""
    path = "/".join(request.path_params.values())
    if path not in guides.guides():
        return rest.nothing_at(request)
    return await _page(f"docs/{path}", lambda: html.render_guide(path).encode(), "text/html", _BRIEFLY | html.SECURITY)


async def asset(request: Request) -> Response:
    """A style sheet or script of `/docs`."""
    name = request.path_params["name"]
    if name not in html.ASSETS:
        return rest.nothing_at(request)
    current = request.query_params.get("v") == html.fingerprint(name)
    headers = (_FOR_EVER if current else _BRIEFLY) | html.NO_SNIFFING
    media_type = mimetypes.guess_type(name)[0] or "text/plain"
    return await _page(f"docs/assets/{name}", html.ASSETS[name].read_bytes, media_type, headers)


ROUTES: list[BaseRoute] = [
    Route("/docs", docs),
    Route("/docs/assets/{name}", asset),
    Route("/docs/{name}", guide, name="guide"),
    Route("/docs/{folder}/{name}", guide, name="guide_in_folder"),
    Route("/openapi.json", openapi_json),
    Route("/asyncapi.json", asyncapi_json),
]
