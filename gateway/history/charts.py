"""`/api/v1/candles/{coin}`: the candles of a coin, page by page, as JSON or CSV."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.directory import Directory
from gateway.history.archive import Archive, BusyError
from gateway.history.chart_query import (
    CSV,
    DEFAULT_LIMIT,
    FORMAT,
    INTERVALS,
    JSON,
    LARGEST_LIMIT,
    LIMIT,
    PARAMETERS,
    ChartRange,
    chart_range,
    encode_cursor,
)
from gateway.history.serving import PageResponse, busy, unavailable
from gateway.http.accepting import preferred
from gateway.http.api import ApiRoute
from gateway.http.parameters import Asked
from gateway.http.rest import failure
from gateway.http.snapshot import CACHING
from gateway.messages.faults import echo
from gateway.messages.http import Candle, CandleLimits, Candles, FailureData, Success
from shared.catalog import SERVICES
from shared.database import HOUR, MINUTE, ChartPage, is_coin_id
from shared.errors import AmbiguousCoinError, DatabaseError
from shared.metrics import GatewayMetrics
from shared.settings import Settings
from shared.timestamps import iso_of

_to_json = msgspec.json.Encoder().encode

SAMPLED_EVERY = SERVICES["market_data"].interval
"""Seconds between two prices of a coin."""

_MEDIA = {JSON: "application/json", CSV: "text/csv; charset=utf-8; header=present"}

_MINUTE, _DAY = 60_000, 86_400_000  # ms
_HEADER = ",".join(Candle.__struct_fields__) + "\r\n"


class ChartPort(Protocol):
    """What this route needs from the node."""

    archive: Archive
    directory: Directory
    settings: Settings
    metrics: GatewayMetrics


async def candles(request: Request, query: Asked) -> Response:
    """The candles of a coin, oldest first: what its price did in each minute, hour or day."""
    node: ChartPort = request.state.node
    name: str = request.path_params["coin"]
    try:
        coin = node.directory.resolve(name)
        asked = chart_range(coin or name, query, time.time())
    except AmbiguousCoinError as error:
        return failure(400, FailureData(message=str(error), code="ambiguous_coin", ids=error.ids))
    except ValueError as error:
        return failure(400, FailureData(message=str(error), code="invalid_parameter"))
    if not is_coin_id(coin or name):
        return _unknown(name)
    outcome = "page"
    held: ExitStack[bool | None] = ExitStack()
    with held:
        try:
            held.enter_context(node.archive.slot())
            page, more = await node.archive.chart(asked.coin, INTERVALS[asked.interval], asked.opens, query[LIMIT])
        except BusyError:
            outcome = "busy"
            return busy()
        except DatabaseError:  # the log has the reason: it names hosts
            outcome = "unavailable"
            return unavailable("The candles are not available: their database can't be read")
        finally:
            node.metrics.history.labels(outcome).inc()
        if coin is None and not page.known:
            return _unknown(name)
        cursor = encode_cursor(asked, page.bars[-1].open_at) if more else None
        form = query.given(FORMAT) or _accepted(request)
        body = _csv(asked, page) if form == CSV else _json(node.settings, asked, page, query[LIMIT], cursor)
        headers = {"ETag": f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"', "Cache-Control": CACHING}
        if cursor is not None:
            headers["Link"] = f'<?{_next(request, cursor)}>; rel="next"'
        return PageResponse(body, held.pop_all(), headers, _MEDIA[form])


def _unknown(name: str) -> Response:
    message = f"There are no candles of {echo(name)}: take an id, or a symbol, of /api/v1/coins"
    return failure(404, FailureData(message=message, code="unknown_coin"))


def _accepted(request: Request) -> str:
    return CSV if preferred(request, ("application/json", "text/csv")) == "text/csv" else JSON


def _next(request: Request, cursor: str) -> str:
    """The query of the next page; a cursor needs no escaping."""
    kept = [f"{name}={request.query_params[name]}" for name in ("limit", "format") if name in request.query_params]
    return "&".join([f"cursor={cursor}", *kept])


def _times(page: ChartPage) -> Iterator[str]:
    """When each candle opens, as `iso_of` writes it, in a fifth of the time. All open at a minute."""
    known, day = -1, ""
    for bar in page.bars:
        days, rest = divmod(bar.open_at, _DAY)
        if days != known:
            known, day = days, iso_of(bar.open_at)[:11]
        hours, minutes = divmod(rest // _MINUTE, 60)
        yield f"{day}{hours:02}:{minutes:02}:00.000Z"


def _complete_to(asked: ChartRange, page: ChartPage) -> int:
    """When the last complete candle opens: unix ms."""
    return -1 if page.recorded_to is None else page.recorded_to - INTERVALS[asked.interval] * 1000


def _json(settings: Settings, asked: ChartRange, page: ChartPage, limit: int, cursor: str | None) -> bytes:
    stored = HOUR if INTERVALS[asked.interval] % HOUR == 0 else MINUTE
    complete_to = _complete_to(asked, page)
    limits = CandleLimits(
        default_limit=DEFAULT_LIMIT,
        largest_limit=LARGEST_LIMIT,
        retention_days=settings.hour_candles_days if stored == HOUR else settings.minute_candles_days,
    )
    data = Candles(
        coin=asked.coin,
        interval=asked.interval,
        first=iso_of(asked.first),
        last=iso_of(asked.last),
        limit=limit,
        sampled_every_seconds=SAMPLED_EVERY,
        candles=[
            Candle(
                open_time=opens,
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                samples=bar.samples,
                complete=bar.open_at <= complete_to,
            )
            for opens, bar in zip(_times(page), page.bars, strict=True)
        ],
        next_cursor=msgspec.UNSET if cursor is None else cursor,
        limits=limits,
    )
    # Not the time of the request: as long as nothing is recorded, equal bytes with an equal ETag.
    at = asked.last if page.recorded_to is None else page.recorded_to
    return _to_json(Success(status="success", data=data, timestamp=iso_of(at)))


def _csv(asked: ChartRange, page: ChartPage) -> bytes:
    """RFC 4180, with a line of names. No field needs quotes."""
    complete_to = _complete_to(asked, page)
    lines = (
        f"{opens},{bar.open!r},{bar.high!r},{bar.low!r},{bar.close!r},{bar.samples},"
        f"{'true' if bar.open_at <= complete_to else 'false'}\r\n"
        for opens, bar in zip(_times(page), page.bars, strict=True)
    )
    return (_HEADER + "".join(lines)).encode()


ROUTES = [ApiRoute("/api/v1/candles/{coin}", candles, PARAMETERS)]
