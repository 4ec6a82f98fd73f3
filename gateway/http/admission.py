"""Admission: whether this gateway takes another client, for a WebSocket or for an event stream."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import HTTPConnection
from starlette.responses import Response

from gateway.consumer import Consumer, ConsumerPort
from gateway.http.rest import failure
from gateway.messages.http import FailureData, HttpCode

_RETRY_SECONDS = 1  # another gateway may take the client at once
_CODES: dict[str, HttpCode] = {"not ready": "not_ready"}  # the other reasons are codes


class AdmissionPort(ConsumerPort, Protocol):
    """What the admission of clients needs of the node."""

    @property
    def refusal(self) -> str | None:
        """Why a new client can't be taken, or None."""
        ...

    def next_number(self) -> int | None:
        """The number of a new client, or None where there is none yet."""
        ...

    def add(self, session: Consumer) -> None:
        """Count `session` until it is removed."""
        ...


def admit(node: AdmissionPort, request: HTTPConnection) -> int | Response:
    """The number of a new client, or the 503 that says why it is not taken."""
    reason = node.refusal
    number = node.next_number() if reason is None else None
    if number is not None:
        return number
    reason = reason or "not ready"
    node.refusals.note(address_of(request), reason)
    message = f"This gateway takes no new connections: {reason}"
    response = failure(503, FailureData(message=message, code=_CODES.get(reason, "unavailable")))
    response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response


def address_of(request: HTTPConnection) -> str | None:
    """The address of the client, that of a trusted proxy replaced."""
    return request.client.host if request.client else None
