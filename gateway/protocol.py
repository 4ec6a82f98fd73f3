"""Reading commands: from a decoded message to a command or a Fault, at a limited rate (docs/reference/protocol.md)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gateway.bucket import Bucket
from gateway.messages.actions import ACTIONS, COMMANDS, AnyCommand
from gateway.messages.faults import ERRORS, MAX_MESSAGE_BYTES, CloseCode, Fault, can_echo, echo, kind_of
from gateway.messages.message import Message
from gateway.messages.notices import MESSAGE_TYPES
from shared.catalog import SYSTEM
from shared.timestamps import now_iso

__all__ = [
    "ACTIONS",
    "BYTES_PER_TOKEN",
    "COMMANDS_A_SECOND",
    "COMMAND_BURST",
    "ERROR_CODES",
    "MAX_MESSAGE_BYTES",
    "MESSAGE_TYPES",
    "REFUSALS_BEFORE_CLOSE",
    "CloseCode",
    "CommandRate",
    "Fault",
    "id_of",
    "notice",
    "parse_command",
]

ERROR_CODES = tuple(ERRORS)

COMMANDS_A_SECOND = 20.0  # faster than any person or sensible program; beyond it a command is refused
COMMAND_BURST = 40.0  # commands at once: a client that reconnects may subscribe to everything one by one
BYTES_PER_TOKEN = 1_024  # a longer command counts as several: decoding it takes as long as decoding several short ones
REFUSALS_BEFORE_CLOSE = 100  # refused commands without a pause that refills the burst; then the client is closed, 1008

_ROUNDING = 1e-6  # tokens: what floats lose; without it, waiting for retry_after_ms might not be enough


def parse_command(message: Any) -> AnyCommand:
    """A decoded message as a command. Raises Fault."""
    if not isinstance(message, dict):
        raise Fault("invalid_message", f"A message must be a JSON object, not {kind_of(message)}")
    if message.get("id") is not None and id_of(message) is None:
        raise Fault("invalid_message", f"id must be a string or a 64-bit integer, not {echo(message['id'])}")
    action = message.get("action")
    command = COMMANDS.get(action) if isinstance(action, str) else None
    if command is None:
        name = echo(action) if "action" in message else "(missing)"
        raise Fault("unknown_action", f"Unknown action: {name}", supported_actions=list(ACTIONS))
    return command.read(message)


def id_of(message: Any) -> str | int | None:
    """The `id` to echo in the reply; None where `message` has none, or one that can't be echoed."""
    found = message.get("id") if isinstance(message, dict) else None
    return found if can_echo(found) else None


def notice(kind: str, data: Any) -> Message[Any]:
    """A message of the gateway itself, sent now. An `update` of this kind has no position."""
    return Message(service=SYSTEM, type=kind, data=data, timestamp=now_iso())


class CommandRate:
    """The bucket of one connection's commands, and how often it was overdrawn without a pause."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bucket = Bucket(COMMAND_BURST, COMMANDS_A_SECOND, clock())
        self._refused = 0

    @property
    def hopeless(self) -> bool:
        """Whether so many commands were refused that the connection should be closed."""
        return self._refused >= REFUSALS_BEFORE_CLOSE

    def take(self, size: int = 0) -> None:
        """Count one command of `size` bytes. Raises Fault `rate_limited` where it came too early."""
        cost = max(1.0, size / BYTES_PER_TOKEN)
        bucket = self._bucket
        bucket.refill(self._clock())
        if bucket.left >= COMMAND_BURST:
            self._refused = 0
        if bucket.left < cost - _ROUNDING:
            self._refused += 1
            wait = (cost - bucket.left) / COMMANDS_A_SECOND
            raise Fault("rate_limited", "Too many commands", retry_after_ms=max(1, math.ceil(wait * 1000)))
        bucket.left = max(0.0, bucket.left - cost)
