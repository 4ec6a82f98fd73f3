"""EventSession: one event stream over HTTP, from the head of its answer to its end."""

from __future__ import annotations

import random
from collections.abc import Callable

from gateway.consumer import Consumer, ConsumerPort
from gateway.event_stream import retry
from gateway.frames import Event, Form, as_event
from gateway.messages.actions import Subscribe, SubscriptionConfirmed
from gateway.messages.message import Notice
from gateway.protocol import notice
from gateway.transport.stream_protocol import StreamProtocol
from shared.bus import Position

RETRY_SECONDS = (1.0, 5.0)
"""After how long a client comes back, drawn for each: who loses the same gateway does not come back at once. A browser
waits always as long, and 3 to 5 s by itself."""


class EventSession(Consumer):
    """A consumer that says at the beginning what it wants. It lives until its connection is `lost`."""

    __slots__ = ()

    _socket: StreamProtocol

    def __init__(self, node: ConsumerPort, socket: StreamProtocol, number: int) -> None:
        """`number` is unique in the cluster."""
        super().__init__(node, socket, number, Form.EVENTS)

    def begin(self, command: Subscribe, draw: Callable[[float, float], float] = random.uniform) -> None:
        """Send what `command` asks for, from now on."""
        self.outbox.offer(Event(retry(round(draw(*RETRY_SECONDS) * 1000))))
        self.subscriptions.subscribe(command)
        self._update_presence()
        self._socket.serve(self)

    def send(self, message: Notice) -> None:
        """Send a message behind all before it.

        A confirmation after which no snapshot comes carries a position: a client that hears nothing else comes back
        with it. Where a snapshot comes, that carries it: who misses the snapshot must not claim to have it.
        """
        self._hub.settle(self.subscriptions)
        at: Position | None = None
        if isinstance(message, SubscriptionConfirmed) and message.position:
            at = Position(message.position.epoch, message.position.seq)
            if message.recovered is not True and at.seq:
                at = None
        self.outbox.offer(as_event(notice(message.type, message.data), at))
