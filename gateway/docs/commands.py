"""What clients may send, as schemas and examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.protocol import Action

ID: dict[str, Any] = {
    "description": "echoed as `data.id` of the reply",
    "anyOf": [{"type": "string"}, {"type": "integer"}],
}
SINCE: dict[str, Any] = {
    "description": "the position of the last update seen, from its `meta`; goes with one service",
    "type": "object",
    "properties": {"epoch": {"type": "string"}, "seq": {"type": "integer", "minimum": 0}},
    "required": ["epoch", "seq"],
}

_NAME = {"$ref": "#/components/schemas/ServiceName"}
_NAMES = {
    "description": "one name, or a list of them",
    "anyOf": [_NAME, {"type": "array", "items": _NAME, "minItems": 1}],
}
_SINCE = {"$ref": "#/components/schemas/Since"}
_ID = {"$ref": "#/components/schemas/CommandId"}


@dataclass(frozen=True, slots=True)
class CommandText:
    """One action: what it does, what it takes besides `action` and `id`, the message that answers, examples."""

    summary: str
    reply: str
    examples: tuple[dict[str, Any], ...]
    takes: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def schema(self, action: str) -> dict[str, Any]:
        """The command as JSON schema."""
        return {
            "type": "object",
            "properties": {"action": {"const": action}, **self.takes, "id": _ID},
            "required": ["action", *self.needs],
        }


COMMANDS: dict[Action, CommandText] = {
    "subscribe": CommandText(
        "Get every update of a service from now on, and the latest one at once. Idempotent.",
        "subscription_confirmed",
        (
            {"action": "subscribe", "service": "market_data"},
            {"action": "subscribe", "service": ["news", "sentiment"], "id": 7},
            {"action": "subscribe", "service": "news", "since": {"epoch": "9f86d081884c7d65", "seq": 41}},
        ),
        {"service": _NAMES, "since": _SINCE},
        ("service",),
    ),
    "unsubscribe": CommandText(
        "Get no more updates of a service. `all` leaves none. Idempotent.",
        "unsubscription_confirmed",
        ({"action": "unsubscribe", "service": "market_data"},),
        {"service": _NAMES},
        ("service",),
    ),
    "get_status": CommandText(
        "Ask what this connection is, and what it has subscribed.", "status", ({"action": "get_status"},)
    ),
    "ping": CommandText(
        "Get `data` back.",
        "pong",
        ({"action": "ping", "data": {"custom": "data"}},),
        {"data": {"description": "anything; with an `id`, an object"}},
    ),
}
"""By action, in the protocol's order."""
