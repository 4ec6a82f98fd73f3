"""`/api/v1/snapshot/{service}`: the newest update, from memory. Asks neither Redis nor a database.

A body consists of the bytes that WebSocket clients receive with `meta` and the same filter, encoded once for all while
they are kept. Its `timestamp` is that of the update, so that equal ETags mean equal bytes on every gateway.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.broadcast.hub import Hub
from gateway.broadcast.relay import Relay
from gateway.filters.filter import Filter
from gateway.frames import Form
from gateway.http.api import ApiRoute
from gateway.http.parameters import Asked
from gateway.http.rest import failure
from gateway.messages.http import FailureData
from gateway.updates import Update
from shared.bus import Position

RETRY_SECONDS = 1
"""Retry-After before the first delivery from Redis, which takes a gateway less than a second after its start."""

CACHING = "public, no-cache"
"""Caches may store it, and must revalidate it each time."""


class SnapshotPort(Protocol):
    """What this route needs from the node."""

    hub: Hub
    relay: Relay


def etag_of(position: Position, only: Filter | None = None) -> str:
    """The ETag of the update at `position`, filtered or not. Quoted, because others could write any epoch to Redis."""
    filtered = f".{only.digest}" if only else ""
    return f'"{quote(position.epoch, safe="")}-{position.seq}{filtered}"'


def body_of(update: Update, only: Filter | None = None) -> bytes:
    """The body of an answer that carries `update`, or what a filter leaves of it."""
    message = update.frame(Form.TEXT_META, only).payload
    return b'{"status":"success","data":%b,"timestamp":%b}' % (message, msgspec.json.encode(update.published_at))


def newest_of(node: SnapshotPort, service: str) -> Update | Response:
    """The newest update of a service, or the answer where there is none."""
    update = node.hub.recent[service].latest
    if not node.relay.whole or (update is None and not node.relay.proven):
        response = failure(503, FailureData(message="This gateway has not heard from Redis yet", code="not_ready"))
        response.headers["Retry-After"] = str(RETRY_SECONDS)
        return response
    if update is None:
        return failure(404, FailureData(message=f"No update of {service} has been published yet", code="no_update"))
    return update


async def snapshot(request: Request, asked: Asked) -> Response:
    """The newest update of a service, or of `system`."""
    update = newest_of(request.state.node, request.path_params["service"])
    if isinstance(update, Response):
        return update
    headers = {"ETag": etag_of(update.position, asked.filter), "Cache-Control": CACHING}
    return Response(body_of(update, asked.filter), media_type="application/json", headers=headers)


ROUTES = [ApiRoute("/api/v1/snapshot/{service}", snapshot, filtered=True)]
