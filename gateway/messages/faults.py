"""Why a command is refused, and why a connection ends: error codes, close codes, and Fault."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal, Self

from shared.errors import CoinwireError

MAX_MESSAGE_BYTES = 8_192  # a larger one closes with 1009; a command that names 250 coins has half of it

ErrorCode = Literal[
    "invalid_json",
    "invalid_msgpack",
    "invalid_message",
    "binary_not_supported",
    "text_not_supported",
    "unknown_action",
    "missing_service",
    "invalid_service",
    "invalid_filter",
    "rate_limited",
]
ERRORS: dict[ErrorCode, str] = {
    "invalid_json": "The text frame is not JSON.",
    "invalid_msgpack": "The binary frame of a `msgpack` connection is not MessagePack.",
    "invalid_message": "The message is not a command: not an object, or a field has the wrong type.",
    "binary_not_supported": "A binary frame on a text connection.",
    "text_not_supported": "A text frame on a `msgpack` connection.",
    "unknown_action": "`action` is missing or none of `supported_actions`.",
    "missing_service": "`subscribe` and `unsubscribe` need `service`.",
    "invalid_service": "`service` is none of `available_services`; nothing was changed.",
    "invalid_filter": "`filter` is nothing that the service knows; nothing was changed.",
    "rate_limited": "Too many commands; the next is accepted after `retry_after_ms`.",
}
"""What each error code means."""


class CloseCode(IntEnum):
    """Why the gateway ends a connection; `text` is what clients should know about it."""

    text: str

    POLICY = 1008, "The client kept sending commands although refused, or too many control frames and fragments."
    TOO_BIG = 1009, f"A message was larger than {MAX_MESSAGE_BYTES // 1024} KiB."
    RESTART = 1012, "This gateway stops. Reconnect; with `since` nothing is lost."
    TRY_AGAIN_LATER = (
        1013,
        "This gateway has lost Redis and can't judge a `since`. Reconnect, with the same `since`.",
    )
    SLOW = 4008, "The client read more slowly than updates came, or nothing. Reconnect; with `since` nothing is lost."

    def __new__(cls, code: int, text: str) -> Self:
        """A member from its code and its text."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.text = text
        return member


class Fault(CoinwireError):
    """A client sent something that can't be carried out. It gets one `error` message; the connection stays open."""

    def __init__(self, code: ErrorCode, message: str, **helps: Any) -> None:
        """`helps` are the other fields of ErrorData that go with `code`."""
        self.code = code
        self.helps = helps
        super().__init__(message)

    @property
    def data(self) -> dict[str, Any]:
        """The fields of the `data` of the error message."""
        return {"message": str(self), "code": self.code, **self.helps}


_ECHOED_INTEGERS = range(-(2**63), 2**64)  # what MessagePack can carry
_LONGEST_ECHO = 100  # characters of a wrong name repeated in an error: enough to recognise it


def can_echo(value: Any) -> bool:
    """Whether `value` may be the `id` of a command: a string, or an integer that MessagePack can carry."""
    return isinstance(value, str) or (type(value) is int and value in _ECHOED_INTEGERS)


def kind_of(value: Any) -> str:
    """The JSON type of `value`, for error messages."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def echo(value: Any) -> str:
    """`value` as an error message repeats it: cut where it is long, its type where it is a structure."""
    if isinstance(value, int) and value not in _ECHOED_INTEGERS:
        return "a number"  # Python refuses to print the longest
    if not isinstance(value, str | int | float):
        return kind_of(value)  # a structure may nest too deeply to be printed
    text = str(value)
    return text if len(text) <= _LONGEST_ECHO else text[:_LONGEST_ECHO] + "…"
