"""`/api/v1/history/{service}`: the stored updates of a service, page by page or as lines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.history import lines
from gateway.history.archive import Archive, BusyError
from gateway.history.query import LIMIT, PARAMETERS, Range, encode_cursor, range_of
from gateway.history.records import sent
from gateway.http.accepting import preferred
from gateway.http.api import ApiRoute
from gateway.http.parameters import Asked
from gateway.http.rest import NOT_KEPT, failure
from gateway.messages.http import HISTORIES, FailureData, HttpCode, Success
from shared.errors import DatabaseError
from shared.metrics import GatewayMetrics
from shared.timestamps import iso_of, now_iso

_AWAY_SECONDS, _BUSY_SECONDS = 5, 1  # Retry-After: the restart of a database; a page or two
_JSON = "application/json"

_to_json = msgspec.json.Encoder().encode


class HistoryPort(Protocol):
    """What this route needs from the node."""

    archive: Archive
    streams: lines.Streams
    metrics: GatewayMetrics


class PageResponse(Response):
    """Holds the slot of a page until it is sent."""

    def __init__(
        self, body: bytes, held: ExitStack, headers: Mapping[str, str] = NOT_KEPT, media_type: str = _JSON
    ) -> None:
        super().__init__(body, headers={**headers, "Vary": "Accept"}, media_type=media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the page."""
        with self._held:
            await super().__call__(scope, receive, send)


async def history(request: Request, query: Asked) -> Response:
    """The stored updates of a service, oldest first, page by page or as lines."""
    node: HistoryPort = request.state.node
    try:
        asked = range_of(request.path_params["service"], query, time.time())
    except ValueError as error:
        return failure(400, FailureData(message=str(error), code="invalid_parameter"))
    as_lines = preferred(request, (_JSON, lines.MEDIA_TYPE)) == lines.MEDIA_TYPE
    outcome = "lines" if as_lines else "page"
    held: ExitStack[bool | None] = ExitStack()
    with held:
        try:
            if as_lines:
                address = request.client.host if request.client else ""
                held.enter_context(node.streams.slot(address))
                return await _lines(request, node.archive, asked, query, held)
            held.enter_context(node.archive.slot())
            return await _page(node.archive, asked, query, held)
        except lines.OneAtATimeError:
            outcome = "one_at_a_time"
            message = "Your address is being sent lines already: one answer at a time"
            return _later(429, message, "one_at_a_time", lines.RETRY_SECONDS)
        except BusyError:
            outcome = "busy"
            return busy(lines.RETRY_SECONDS) if as_lines else busy()
        except DatabaseError:  # the log has the reason: it names hosts
            outcome = "unavailable"
            return unavailable("The history is not available: its database can't be read")
        finally:
            node.metrics.history.labels(outcome).inc()


async def _page(archive: Archive, asked: Range, query: Asked, held: ExitStack[bool | None]) -> Response:
    limit = query[LIMIT]
    records, more = await archive.page(asked, limit)
    page = HISTORIES[asked.service](
        first=iso_of(asked.first),
        last=iso_of(asked.last),
        limit=limit,
        records=[each async for each in sent(records, query.filter, archive.filtering)],
        next_cursor=encode_cursor(asked, records[-1]) if more else msgspec.UNSET,
        limits=archive.limits(asked.service),
    )
    return PageResponse(_to_json(Success(status="success", data=page, timestamp=now_iso())), held.pop_all())


async def _lines(
    request: Request, archive: Archive, asked: Range, query: Asked, held: ExitStack[bool | None]
) -> Response:
    records = await archive.read(asked, lines.READ_ROWS, lines.READ_BYTES)  # else 503
    most = query.given(LIMIT)
    body = lines.nothing() if request.method == "HEAD" else lines.lines(archive, asked, query.filter, records, most)
    return lines.LinesResponse(body, held.pop_all())


def busy(seconds: int = _BUSY_SECONDS) -> Response:
    """503: as many answers are in progress as may be."""
    return _later(503, "Too many answers are being made: try again", "busy", seconds)


def unavailable(message: str) -> Response:
    """503: the database is away."""
    return _later(503, message, "unavailable", _AWAY_SECONDS)


def _later(status: int, message: str, code: HttpCode, seconds: int) -> Response:
    response = failure(status, FailureData(message=message, code=code))
    response.headers["Retry-After"] = str(seconds)
    return response


ROUTES = [ApiRoute("/api/v1/history/{service}", history, PARAMETERS, filtered=True)]
