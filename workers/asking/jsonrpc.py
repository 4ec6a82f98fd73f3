"""JSON-RPC 2.0 over HTTP: makes the Request of one call, checks the answer's envelope and returns its result.

Nodes answer nearly every call with HTTP 200; the envelope has the error, if any: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from shared.errors import ProviderError
from workers.asking.provider import MAX_BODY, Request, StatusError, decode, misfit

T = TypeVar("T")

_ID = 1  # the same id for every call: each call has an HTTP exchange of its own
_LONGEST = 120  # characters of a node's message that an error keeps: about a sentence; geth appends whole stack traces
_URL = re.compile(r"(?:https?|wss?)://\S+", re.IGNORECASE)
_KEYLIKE = re.compile(r"[A-Za-z0-9_-]{20,}")  # keys and hashes have 20 characters or more, words have fewer

LIMIT_CODES = frozenset({-32005, -32011, -32016, -32046, -32047, 429})
"""Codes of nodes for "rate limited" or "not allowed", sent with HTTP 200 (recorded, or from public issues)."""
_LIMIT_WORDS = ("rate limit", "limit exceeded", "too many requests")

Quantity = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,13}\Z")]
"""A number below 2^52 in hex: of a block, a log, seconds, gas."""
BigQuantity = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,64}\Z")]
"""A number of 256 bits in hex: wei, units of a token."""
Address = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
Hash = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{64}\Z")]


class RpcError(ProviderError):
    """A node's error object. Its message is shortened; URLs and strings that might be keys are removed."""

    def __init__(self, provider: str, code: int, message: str) -> None:
        self.code = code
        self.limited = code in LIMIT_CODES or any(words in message.lower() for words in _LIMIT_WORDS)
        """Whether the node refuses because of a rate limit, or because of who asks."""
        text = shortened(message)
        super().__init__(provider, f"error {code}: {text}" if text else f"error {code}")


def is_limited(error: ProviderError) -> bool:
    """Whether an upstream refused because of a rate limit, by an HTTP status or by a JSON-RPC error."""
    if isinstance(error, StatusError):
        return error.status in (403, 418, 429)  # 403 comes from CDNs, 418 from Binance
    return isinstance(error, RpcError) and error.limited


class _Error(Struct):
    code: int
    message: str = ""


class _Envelope(Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


def call(
    method: str, params: Sequence[Any], parse: Callable[[bytes], T], *, path: str = "", limit: int = MAX_BODY
) -> Request[T]:
    """The Request that calls `method`; `parse` gets the whole envelope, see `result_of`."""
    body = {"jsonrpc": "2.0", "id": _ID, "method": method, "params": list(params)}
    return Request(path, parse, body=json.dumps(body, separators=(",", ":")).encode(), limit=limit)


def result_of(provider: str, body: bytes, kind: type[T]) -> T:
    """The `result` of a JSON-RPC answer as `kind`.

    Raises RpcError for an error object. Raises ProviderError for another id, for neither or both of result and error,
    and for a result that does not fit, null included; the message has the path of the field.
    """
    return decode_result(provider, _result(provider, body), kind)


def result_or_none(provider: str, body: bytes, kind: type[T]) -> T | None:
    """As `result_of`, but null is a valid answer: None means that the node does not have it, or not yet."""
    return None if _result(provider, body) == b"null" else result_of(provider, body, kind)


def decode_result(provider: str, result: bytes, kind: type[T]) -> T:
    """The `result` member of an answer as `kind`. Raises ProviderError with the path of the field."""
    try:
        return msgspec.json.decode(result, type=kind)
    except msgspec.ValidationError as fault:
        raise misfit(provider, fault, "$.result") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ProviderError(provider, f"not JSON: {type(fault).__name__}", field="$.result") from None


def shortened(message: str) -> str:
    """An upstream's message for our errors: shortened, without URLs and strings that might be keys."""
    return _KEYLIKE.sub("…", _URL.sub("…", " ".join(message.split())))[:_LONGEST]


def unhex(quantity: str) -> int:
    """A hexadecimal quantity as a number."""
    return int(quantity, 16)


def _result(provider: str, body: bytes) -> bytes:
    envelope = decode(provider, body, _Envelope)
    result, error = bytes(envelope.result), bytes(envelope.error)
    if error not in (b"", b"null"):
        if result not in (b"", b"null"):
            raise ProviderError(provider, "both a result and an error")
        raise refused(provider, error)
    if not result:
        raise ProviderError(provider, "neither a result nor an error")
    if envelope.id != _ID:
        raise ProviderError(provider, "answer to another call", field="$.id")
    return result


def refused(provider: str, error: bytes) -> ProviderError:
    """The exception for an `error` member."""
    try:
        fault = msgspec.json.decode(error, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ProviderError(provider, "an error without a code", field="$.error")
    return RpcError(provider, fault.code, fault.message)
