"""JSON-RPC 2.0 over HTTP: one call as a Request, its answer checked and freed of its envelope.

Nodes answer HTTP 200 to nearly everything; the envelope says whether it failed: https://www.jsonrpc.org/specification
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

_ID = 1  # of every call: each has an HTTP exchange of its own
_LONGEST = 120  # characters of a node's message that an error keeps: a sentence; geth appends whole stacks
_URL = re.compile(r"(?:https?|wss?)://\S+", re.IGNORECASE)
_KEYLIKE = re.compile(r"[A-Za-z0-9_-]{20,}")  # keys have 20 characters and more, and so have hashes; words do not

LIMIT_CODES = frozenset({-32005, -32011, -32016, -32046, -32047, 429})
"""Codes by which nodes say "not so often" or "not you" (recorded, or in public issues), with HTTP 200."""
_LIMIT_WORDS = ("rate limit", "limit exceeded", "too many requests")

Quantity = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,13}\Z")]
"""A number below 2^52 in hex: of a block, a log, seconds, gas."""
BigQuantity = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,64}\Z")]
"""A number of 256 bits in hex: wei, units of a token."""
Address = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
Hash = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{64}\Z")]


class RpcError(ProviderError):
    """A node's error object. Its message is kept short, without URLs and whatever might be a key."""

    def __init__(self, provider: str, code: int, message: str) -> None:
        self.code = code
        self.limited = code in LIMIT_CODES or any(words in message.lower() for words in _LIMIT_WORDS)
        """Whether the node refuses for how often we ask, or who we are."""
        text = shortened(message)
        super().__init__(provider, f"error {code}: {text}" if text else f"error {code}")


def is_limited(error: ProviderError) -> bool:
    """Whether an upstream refused for how often it is asked, by an HTTP status or by a JSON-RPC error."""
    if isinstance(error, StatusError):
        return error.status in (403, 418, 429)  # 403 is how their CDNs put it, 418 how Binance does
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

    Raises RpcError for an error object, else ProviderError: another id, neither or both of result and error, or a
    result that does not fit (null among them), with the path of the field.
    """
    return decode_result(provider, _result(provider, body), kind)


def result_or_none(provider: str, body: bytes, kind: type[T]) -> T | None:
    """As `result_of`, where null is an answer: None, what was asked for is not there (yet)."""
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
    """An upstream's sentence for our errors: short, without URLs and whatever might be a key."""
    return _KEYLIKE.sub("…", _URL.sub("…", " ".join(message.split())))[:_LONGEST]


def unhex(quantity: str) -> int:
    """A quantity as a number."""
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
    """An `error` member as what to raise."""
    try:
        fault = msgspec.json.decode(error, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ProviderError(provider, "an error without a code", field="$.error")
    return RpcError(provider, fault.code, fault.message)
