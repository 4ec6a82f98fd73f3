"""Following a service over a WebSocket: every update once, over lost connections too."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from commands.live.api import SECONDS, ApiError, refusal, unreachable
from commands.live.filters import Filters
from commands.terminal import printable
from shared.version import VERSION

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # s before the next attempt; it doubles, with jitter
_LARGEST = 16 * 1024 * 1024  # bytes of a message: far more than any update has, and nothing that exhausts memory


@dataclass(frozen=True, slots=True)
class Update:
    """One update of the service."""

    data: dict[str, Any]
    timestamp: str
    seq: int | None
    """None for what a gateway tells about itself, which nobody numbers."""
    message: dict[str, Any]
    """All of it, as it came."""


@dataclass(frozen=True, slots=True)
class Away:
    """The connection is lost; the next event comes once there is another one."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The gateway could not replay what was published while there was no connection."""


Event = Update | Away | Lost


async def follow(address: str, service: str, filters: Filters) -> AsyncIterator[Event]:
    """The newest update, then each new one. Reconnects for ever, once it was connected.

    Raises ApiError if there is no gateway at first, or if it refuses the filters.
    """
    url = "ws" + address.removeprefix("http") + "/ws?meta=1"
    following = _Following(service, filters)
    pause = _FIRST_PAUSE
    while True:
        reason = "closed by the gateway"
        try:
            async with connect(
                url, open_timeout=SECONDS, max_size=_LARGEST, user_agent_header=f"coinwire/{VERSION}"
            ) as socket:
                async for event in following.events(socket):
                    pause = _FIRST_PAUSE
                    yield event
        except (OSError, WebSocketException) as error:  # TimeoutError is an OSError
            if not following.confirmed:
                raise _refused(address, error) from None
            reason = str(error) or type(error).__name__
        yield Away(printable(reason))
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE)


class _Following:
    """What is known of the service from one connection to the next."""

    def __init__(self, service: str, filters: Filters) -> None:
        self._command = {"action": "subscribe", "service": service, **({"filter": filters} if filters else {})}
        self._service = service
        self._position: dict[str, Any] = {}
        self.confirmed = False
        """Whether a gateway has ever accepted the subscription."""

    async def events(self, socket: ClientConnection) -> AsyncIterator[Update | Lost]:
        """Subscribe, from the last position on if there is one, and read until the connection ends."""
        since = {"since": self._position} if self._position else {}
        await socket.send(json.dumps(self._command | since))
        async for text in socket:
            try:
                message: dict[str, Any] = json.loads(text)
                kind, data = message["type"], message["data"]
                if kind == "error":
                    raise ApiError(refusal(data, "an error"))
                if kind == "subscription_confirmed":
                    self.confirmed = True
                    if since and not data.get("recovered"):
                        yield Lost()
                elif kind == "update" and message["service"] == self._service and self._moves(message.get("meta")):
                    seq = self._position["seq"] if message.get("meta") else None
                    yield Update(data, message["timestamp"], seq, message)
            except (ValueError, TypeError, KeyError, AttributeError):
                raise ApiError("what answers is no gateway: it sent something else than a coinwire message") from None

    def _moves(self, meta: dict[str, Any] | None) -> bool:
        """Take the position of an update, if it has one; False for one that was there already."""
        if not meta:
            return True
        epoch, seq = str(meta["epoch"]), int(meta["seq"])
        if self._position.get("epoch") == epoch and seq <= self._position["seq"]:
            return False
        self._position = {"epoch": epoch, "seq": seq}
        return True


def _refused(address: str, error: Exception) -> ApiError:
    if isinstance(error, ConnectionClosed):
        return ApiError(printable(f"{address} ended the connection: {error}"))
    if not isinstance(error, InvalidStatus):
        return unreachable(address, error)
    status = f"HTTP {error.response.status_code}"
    try:
        data = json.loads(error.response.body or b"")["data"]
    except (ValueError, TypeError, KeyError):
        return ApiError(f"{address} opened no WebSocket: {status}")
    return ApiError(f"{address} opened no WebSocket: {refusal(data, status)}")
