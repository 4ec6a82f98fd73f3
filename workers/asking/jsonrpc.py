"""JSON-RPC 2.0 over HTTP: makes the Request of one call, checks the answer's envelope and returns its result.

Nodes answer nearly every call with HTTP 200; the envelope has the error, if any: https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from shared.errors import ProviderError
from workers.asking.limits import limit_in, pause_field, pause_in, says_limited, says_too_large
from workers.asking.limits import shortened as shortened
from workers.asking.provider import MAX_BODY, Request, decode

T = TypeVar("T")

_ID = 1  # the same id for every call: each call has an HTTP exchange of its own
LIMIT_CODES = frozenset({429, -32005, -32012, -32016, -32017, -32029, -32046, -32097, -32429})
"""Codes of Ethereum's nodes for a rate limit, sent with HTTP 200 (recorded, in their source, or from public issues).

-32005 is EIP-1474's "limit exceeded"; it also refuses a range that is too large, which the message says. -32012, -32016
and -32017 are those of Optimism's proxyd, whose -32010 and -32011 mean that its nodes are down; -32046 is Cloudflare's;
-32029, -32097 and -32429 are used by smaller operators.
"""

Quantity = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,13}\Z")]
"""A number below 2^52 in hex: of a block, a log, seconds, gas."""
BigQuantity = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{1,64}\Z")]
"""A number of 256 bits in hex: wei, units of a token."""
Address = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]
Hash = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{64}\Z")]


class RpcError(ProviderError):
    """A node's error object. Its message is shortened; URLs and strings that might be keys are removed."""

    def __init__(
        self,
        provider: str,
        code: int,
        message: str,
        *,
        codes: frozenset[int] = LIMIT_CODES,
        retry_after: float | None = None,
    ) -> None:
        """`codes` are those that mean a limit on this node's chain; `retry_after` is the node's own, in seconds."""
        self.code = code
        self.limited = says_limited(message) or (code in codes and not says_too_large(message))
        text = shortened(message)
        pause = (retry_after or pause_in(message)) if self.limited else None
        reason = f"error {code}: {text}" if text else f"error {code}"
        super().__init__(provider, reason, retry_after=pause, kind="error")


def is_limited(error: ProviderError) -> bool:
    """Whether an upstream refused because of a limit: by an HTTP status, a JSON-RPC error, or an answer's text."""
    return error.limited


class _Error(Struct):
    code: int
    message: str | None = None


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


def result_of(provider: str, body: bytes, kind: type[T], codes: frozenset[int] = LIMIT_CODES) -> T:
    """The `result` of a JSON-RPC answer as `kind`. `codes` are those of errors that mean a limit.

    Raises RpcError for an error object. Raises ProviderError for another id, for neither or both of result and error,
    and for a result that does not fit, null included; the message has the path of the field.
    """
    return decode_result(provider, _result(provider, body, codes), kind)


def result_or_none(provider: str, body: bytes, kind: type[T]) -> T | None:
    """As `result_of`, but null is a valid answer: None means that the node does not have it, or not yet."""
    return None if _result(provider, body) == b"null" else result_of(provider, body, kind)


def decode_result(provider: str, result: bytes, kind: type[T]) -> T:
    """The `result` member of an answer as `kind`. Raises ProviderError with the path of the field."""
    return decode(provider, result, kind, root="$.result")


def unhex(quantity: str) -> int:
    """A hexadecimal quantity as a number."""
    return int(quantity, 16)


def _result(provider: str, body: bytes, codes: frozenset[int] = LIMIT_CODES) -> bytes:
    envelope = decode(provider, body, _Envelope)
    result, error = bytes(envelope.result), bytes(envelope.error)
    if error not in (b"", b"null"):
        if result not in (b"", b"null"):
            raise ProviderError(provider, "both a result and an error")
        raise refused(provider, error, codes)
    if not result:
        raise limit_in(provider, body) or ProviderError(provider, "neither a result nor an error")
    if envelope.id != _ID:
        raise ProviderError(provider, "answer to another call", field="$.id")
    return result


def refused(provider: str, error: bytes, codes: frozenset[int] = LIMIT_CODES) -> ProviderError:
    """The exception for an `error` member."""
    try:
        fault = decode(provider, error, _Error, lax=True)  # some proxies write the code as a text
    except ProviderError as other:
        return other if other.limited else ProviderError(provider, "an error without a code", field="$.error")
    return RpcError(provider, fault.code, fault.message or "", codes=codes, retry_after=pause_field(error))
