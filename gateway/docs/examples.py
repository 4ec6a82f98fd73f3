"""Examples of messages. A service without one in `examples.json` gets one made from its schema."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from gateway.docs.commands import COMMANDS
from gateway.endpoints import ENDPOINTS
from gateway.history import archive
from gateway.protocol import ACTIONS
from shared.catalog import ALL, CATEGORIES, SYSTEM, of_category

MOMENT = "2025-11-11T10:30:00.000Z"
_CLIENT = "client_1_1762857000"  # that moment
_POSITION = {"epoch": "9f86d081884c7d65", "seq": 41, "published_at": MOMENT}
_BLANKS: dict[str, Any] = {"string": "…", "integer": 1, "number": 1.5, "boolean": True}


def example_of(service: str, schema: dict[str, Any], components: dict[str, Any]) -> Any:
    """`data` of one update of `service`."""
    written: dict[str, Any] = json.loads((resources.files("gateway.docs") / "examples.json").read_text())
    return written[service] if service in written else from_schema(schema, components)


def from_schema(schema: dict[str, Any], components: dict[str, Any]) -> Any:
    """A value that fits `schema`: its own example where it has one, else something plain."""
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


def notice_examples() -> dict[str, dict[str, Any]]:
    """One of each message of the gateway itself."""
    subscribe = COMMANDS["subscribe"].examples[0]
    connected = {"client_id": _CLIENT, "connected_at": MOMENT}
    data: dict[str, tuple[str, Any]] = {
        "connection_established": (
            "connection_established",
            {
                **connected,
                "message": "Connected to /ws/market_data",
                "endpoint": "/ws/market_data",
                "subscriptions": ["market_data"],
                "available_services": list(ENDPOINTS["/ws/market_data"].lists),
            },
        ),
        "welcome": (
            "welcome",
            {
                "message": "Connected to default WebSocket endpoint",
                "hint": "Send subscription messages to receive updates",
                "example": subscribe,
            },
        ),
        "welcome_master": (
            "welcome",
            {
                "message": "Connected to master WebSocket endpoint",
                "available_services": {name: list(of_category(name)) for name in CATEGORIES} | {SYSTEM: [SYSTEM, ALL]},
                "usage": {action: command.examples[0] for action, command in COMMANDS.items()},
                "statistics": {"total_connections": 5, "subscription_counts": {"market_data": 4}},
            },
        ),
        "subscription_confirmed": (
            "subscription_confirmed",
            {"service": "market_data", "subscriptions": ["market_data", "news"], "id": 7},
        ),
        "unsubscription_confirmed": (
            "unsubscription_confirmed",
            {"service": "market_data", "subscriptions": ["news"]},
        ),
        "status": (
            "status",
            {
                **connected,
                "last_activity": "2025-11-11T10:30:05.000Z",
                "subscriptions": ["market_data", "whale_tracking"],
                "total_clients": 5,
            },
        ),
        "pong": ("pong", {"custom": "data"}),
        "error": (
            "error",
            {
                "message": "Unknown action: buy",
                "code": "unknown_action",
                "supported_actions": list(ACTIONS),
            },
        ),
    }
    return {
        name: {"service": SYSTEM, "type": kind, "data": value, "timestamp": MOMENT}
        for name, (kind, value) in data.items()
    }


def snapshot_example() -> dict[str, Any]:
    """What `/api/v1/snapshot/market_data` answers."""
    update = {"service": "market_data", "type": "update", "data": example_of("market_data", {}, {})}
    return _answered(update | {"timestamp": MOMENT, "meta": _POSITION})


def history_example() -> dict[str, Any]:
    """What `/api/v1/history/market_data?limit=1` answers."""
    page = {"service": "market_data", "from": "2025-11-11T09:30:00.000Z", "to": MOMENT, "limit": 1}
    limits = {
        "default_limit": archive.DEFAULT_LIMIT,
        "largest_limit": archive.LARGEST_LIMIT,
        "page_bytes": archive.PAGE_BYTES,
        "retention_days": 7.0,
    }
    record = {**_POSITION, "data": example_of("market_data", {}, {})}
    return _answered(page | {"records": [record], "limits": limits})


def _answered(data: dict[str, Any]) -> dict[str, Any]:
    return {"status": "success", "data": data, "timestamp": MOMENT}
