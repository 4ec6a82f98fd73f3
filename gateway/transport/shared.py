"""What a client's connection needs of others: its session, and what all such connections of a gateway share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.types import ASGIApp

from gateway.transport.keepalive import Keepalive
from gateway.transport.refusals import Refusals
from gateway.transport.turn import Turn
from gateway.waiting import Waiting
from shared.metrics import GatewayMetrics

Peer = tuple[str, int] | None
"""The address at the other end of a socket; None where that has none."""


class Served(Protocol):
    """Who hears of what becomes of a connection: its session."""

    def ready(self) -> None:
        """The socket accepts frames again."""
        ...

    def stalled(self) -> None:
        """The client takes nothing of what waits for it."""
        ...

    def crowded_out(self) -> None:
        """More waits for this client than for any other, and the gateway needs the memory."""
        ...

    def lost(self) -> None:
        """The connection ends. Called once."""
        ...


class Client(Served, Protocol):
    """Who also answers the messages of a connection: the session of a WebSocket."""

    @property
    def busy(self) -> bool:
        """Whether the next message has to wait."""
        ...

    def received(self, message: str | bytes, size: int) -> None:
        """A whole message: text or binary, of `size` bytes."""
        ...


@dataclass
class Shared:
    """What all clients' connections of a gateway share. `app` answers handshakes, with `state` in their scope."""

    app: ASGIApp
    metrics: GatewayMetrics
    refusals: Refusals
    keepalive: Keepalive
    turn: Turn
    waiting: Waiting
    compresses: bool = False
    state: dict[str, Any] = field(default_factory=dict)
    connections: set[Any] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
