"""What may be said: commands in, messages out, error and close codes (CONTRACT.md, sections 1, 3 and 4)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, get_args

from gateway.endpoints import SUBSCRIBABLE
from shared.bus import Position
from shared.catalog import SYSTEM
from shared.errors import CoinwireError
from shared.timestamps import now_iso

Action = Literal["subscribe", "unsubscribe", "get_status", "ping"]
ACTIONS: tuple[Action, ...] = get_args(Action)

ErrorCode = Literal[
    "invalid_json",
    "invalid_msgpack",
    "invalid_message",
    "binary_not_supported",
    "text_not_supported",
    "unknown_action",
    "missing_service",
    "invalid_service",
    "rate_limited",
]
ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)

MESSAGE_TYPES = (
    "connection_established",
    "welcome",
    "update",
    "subscription_confirmed",
    "unsubscription_confirmed",
    "status",
    "pong",
    "error",
)

MAX_MESSAGE_BYTES = 65_536  # CONTRACT.md: a larger one closes with 1009; the longest sensible command is under 1 kB
COMMANDS_A_SECOND = 20.0  # CONTRACT.md: faster than any person or sensible program
COMMAND_BURST = 40.0  # CONTRACT.md: a client that reconnects may subscribe to everything one by one
REFUSALS_BEFORE_CLOSE = 100  # refused commands without ever pausing to refill the burst, then 1008: it does not listen

_ROUNDING = 1e-6  # tokens: what floats lose; without it, retry_after_ms might be waited out and not be enough
_ECHOED_INTEGERS = range(-(2**63), 2**64)  # what MessagePack can carry
_LONGEST_ECHO = 100  # characters of a wrong name repeated in an error: enough to recognise it


class CloseCode(IntEnum):
    """Why the gateway ends a connection."""

    POLICY = 1008
    """It kept sending commands although every one was refused as `rate_limited`."""
    TOO_BIG = 1009
    """A message over 64 KiB."""
    RESTART = 1012
    """This gateway stops: reconnect, with `since` nothing is lost."""
    SLOW = 4008
    """It read more slowly than updates came, and its outbox is full: reconnect, with `since` nothing is lost."""


class Fault(CoinwireError):
    """Something a client said that can't be carried out: becomes one `error` message; the connection stays open."""

    def __init__(self, code: ErrorCode, message: str, **helps: Any) -> None:
        self.code = code
        self.helps = helps
        super().__init__(message)

    @property
    def data(self) -> dict[str, Any]:
        """The `data` of the error message."""
        return {"message": str(self), "code": self.code, **self.helps}


@dataclass(frozen=True, slots=True)
class Command:
    """One valid command. `asked` is `service` as the client wrote it."""

    action: Action
    services: tuple[str, ...] = ()
    asked: str | list[str] | None = None
    since: Position | None = None
    data: Any = field(default_factory=dict)
    id: str | int | None = None


def parse_command(message: Any) -> Command:
    """A decoded message as a command. Raises Fault."""
    if not isinstance(message, dict):
        raise Fault("invalid_message", f"A message must be a JSON object, not {_kind(message)}")
    command_id = id_of(message)
    if command_id is None and message.get("id") is not None:
        raise Fault("invalid_message", f"id must be a string or a 64-bit integer, not {_echo(message['id'])}")
    return _parse(message, command_id)


def id_of(message: Any) -> str | int | None:
    """The `id` to echo in the reply; None where `message` has none, or one that can't be echoed."""
    found = message.get("id") if isinstance(message, dict) else None
    if isinstance(found, str) or (isinstance(found, int) and type(found) is not bool and found in _ECHOED_INTEGERS):
        return found
    return None


def _parse(message: dict[Any, Any], command_id: str | int | None) -> Command:
    action = message.get("action")
    if action not in ACTIONS:
        name = _echo(action) if "action" in message else "(missing)"
        raise Fault("unknown_action", f"Unknown action: {name}", supported_actions=list(ACTIONS))
    if action == "ping":
        data = message.get("data")
        data = {} if data is None else data
        if command_id is not None and not isinstance(data, dict):
            raise Fault("invalid_message", f"With an id, data must be an object, not {_kind(data)}")
        return Command("ping", data=data, id=command_id)
    if action == "get_status":
        return Command("get_status", id=command_id)
    asked = message.get("service")
    names: list[Any] = asked if isinstance(asked, list) else [asked]
    if asked is None or not names:
        raise Fault("missing_service", f"{action} needs a service", available_services=list(SUBSCRIBABLE))
    for name in names:
        if not isinstance(name, str) or name not in SUBSCRIBABLE:
            raise Fault("invalid_service", f"Invalid service: {_echo(name)}", available_services=list(SUBSCRIBABLE))
    since = _parse_since(message["since"], names) if action == "subscribe" and "since" in message else None
    return Command(action, services=tuple(names), asked=asked, since=since, id=command_id)


def _parse_since(since: Any, names: list[str]) -> Position:
    if len(names) != 1 or names[0] not in SUBSCRIBABLE[:-1]:
        raise Fault("invalid_message", "since goes with one service: a position belongs to one")
    epoch, seq = (since.get("epoch"), since.get("seq")) if isinstance(since, dict) else (None, None)
    if not isinstance(epoch, str) or not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise Fault("invalid_message", 'since must be {"epoch": string, "seq": integer from 0}')
    return Position(epoch, seq)


def notice(kind: str, data: Any) -> dict[str, Any]:
    """A message of the gateway itself: everything but `update`."""
    return {"service": SYSTEM, "type": kind, "data": data, "timestamp": now_iso()}


class CommandRate:
    """A token bucket for one connection's commands, and how often it was overdrawn without a pause."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens = COMMAND_BURST
        self._at = clock()
        self._refused = 0

    @property
    def hopeless(self) -> bool:
        """Whether the client kept on so long that only closing helps."""
        return self._refused >= REFUSALS_BEFORE_CLOSE

    def take(self) -> None:
        """Count one command. Raises Fault `rate_limited` where it came too early."""
        now = self._clock()
        self._tokens = min(COMMAND_BURST, self._tokens + (now - self._at) * COMMANDS_A_SECOND)
        self._at = now
        if self._tokens >= COMMAND_BURST:
            self._refused = 0
        if self._tokens < 1 - _ROUNDING:
            self._refused += 1
            wait = (1 - self._tokens) / COMMANDS_A_SECOND
            raise Fault("rate_limited", "Too many commands", retry_after_ms=max(1, math.ceil(wait * 1000)))
        self._tokens = max(0.0, self._tokens - 1)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _echo(value: Any) -> str:
    if isinstance(value, int) and value not in _ECHOED_INTEGERS:
        return "a number"  # Python refuses to print the longest
    if not isinstance(value, str | int | float):
        return _kind(value)  # to print a structure may nest too deeply
    text = str(value)
    return text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "…"
