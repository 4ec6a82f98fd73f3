"""Examples of updates and of HTTP answers. A service without one in `examples.json` gets one made from its schema."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import msgspec

from gateway.frames import as_event
from gateway.history import archive, chart_query, charts, query
from gateway.messages.fields import EXAMPLE_TIME
from gateway.messages.http import (
    HISTORIES,
    SNAPSHOTS,
    Candle,
    CandleLimits,
    Candles,
    CoinEntry,
    CoinListing,
    HistoryLimits,
    HistoryRecord,
    SnapshotMeta,
    Success,
)
from gateway.messages.message import Message, UpdateMeta
from shared.bus import Position
from shared.envelope import UPDATE

_BLANKS: dict[str, Any] = {"string": "…", "integer": 1, "number": 1.5, "boolean": True}


def example_of(service: str, schema: dict[str, Any], components: dict[str, Any]) -> Any:
    """`data` of one update of `service`."""
    written: dict[str, Any] = json.loads((resources.files("gateway.docs") / "examples.json").read_text())
    return written[service] if service in written else from_schema(schema, components)


def from_schema(schema: dict[str, Any], components: dict[str, Any]) -> Any:
    """A value that fits `schema`: its own example if it has one, else a plain value."""
    if "$ref" in schema:
        return from_schema(components[schema["$ref"].rpartition("/")[2]], components)
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return from_schema(schema["anyOf"][0], components)
    if schema.get("type") == "array":
        return [from_schema(schema["items"], components)]
    if schema.get("type") == "object":
        named = {name: from_schema(value, components) for name, value in schema.get("properties", {}).items()}
        values = schema.get("additionalProperties")
        return named | ({"name": from_schema(values, components)} if isinstance(values, dict) else {})
    low = schema.get("minimum")
    return _BLANKS.get(schema.get("type", "")) if low is None else low


_EXAMPLE = "market_data"
_POSITION: dict[str, Any] = {"epoch": "9f86d081884c7d65", "seq": 41, "published_at": EXAMPLE_TIME}


def snapshot_example() -> Any:
    """An answer of `/api/v1/snapshot/market_data`."""
    snapshot = SNAPSHOTS[_EXAMPLE](
        type="update",
        data=example_of(_EXAMPLE, {}, {}),
        timestamp=EXAMPLE_TIME,
        meta=msgspec.convert(_POSITION, SnapshotMeta),
    )
    return _answered(snapshot)


def coins_example() -> Any:
    """An answer of `/api/v1/coins`, shortened."""
    prices = example_of(_EXAMPLE, {}, {})["prices"]
    known = (("bitcoin", "BTC", "Bitcoin"), ("ethereum", "ETH", "Ethereum"))
    return _answered(
        CoinListing(
            coins=[
                CoinEntry(
                    id=coin_id,
                    symbol=symbol,
                    name=name,
                    rank=rank,
                    ambiguous=False,
                    price=prices[coin_id],
                    price_at=EXAMPLE_TIME,
                    age_seconds=0.0,
                )
                for rank, (coin_id, symbol, name) in enumerate(known, 1)
            ]
        )
    )


def history_example() -> Any:
    """An answer of `/api/v1/history/market_data?limit=1`."""
    limits = HistoryLimits(
        default_limit=query.DEFAULT_LIMIT,
        largest_limit=query.LARGEST_LIMIT,
        page_bytes=archive.PAGE_BYTES,
        retention_days=7.0,
    )
    record = msgspec.convert(_POSITION | {"data": example_of(_EXAMPLE, {}, {})}, HistoryRecord[Any])
    history = HISTORIES[_EXAMPLE](
        first="2025-11-11T09:30:00.000Z", last=EXAMPLE_TIME, limit=1, records=[record], limits=limits
    )
    return _answered(history)


def candles_example() -> Any:
    """An answer of `/api/v1/candles/bitcoin?limit=2`."""
    prices = {"open": 67012.4, "high": 67030.0, "low": 67001.9, "close": 67024.5}
    candles = Candles(
        coin="bitcoin",
        interval="1m",
        first="2025-11-11T10:29:00.000Z",
        last=EXAMPLE_TIME,
        limit=2,
        sampled_every_seconds=charts.SAMPLED_EVERY,
        candles=[
            Candle(open_time="2025-11-11T10:29:00.000Z", **prices, samples=12, complete=True),
            Candle(open_time=EXAMPLE_TIME, **prices, samples=3, complete=False),
        ],
        limits=CandleLimits(
            default_limit=chart_query.DEFAULT_LIMIT, largest_limit=chart_query.LARGEST_LIMIT, retention_days=7.0
        ),
    )
    return _answered(candles)


def stream_example() -> str:
    """What `/api/v1/stream/market_data` begins with, after the confirmation."""
    meta = UpdateMeta(**_POSITION, snapshot=True)
    data = example_of(_EXAMPLE, {}, {})
    message = Message(service=_EXAMPLE, type=UPDATE, data=data, timestamp=EXAMPLE_TIME, meta=meta)
    return as_event(message, Position(meta.epoch, meta.seq)).wire.decode()


def _answered(data: msgspec.Struct) -> Any:
    return msgspec.to_builtins(Success(status="success", data=data, timestamp=EXAMPLE_TIME))
