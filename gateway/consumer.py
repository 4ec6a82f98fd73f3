"""Consumer: one client that receives updates, whatever protocol carries them: from its first message to its end.

A session of a WebSocket is one, an event stream over HTTP another. They differ in what begins and what is said besides.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

from gateway.broadcast.compression import Window
from gateway.broadcast.hub import Hub
from gateway.broadcast.outbox import Outbox
from gateway.broadcast.relay import Relay
from gateway.directory import Directory
from gateway.frames import Form
from gateway.messages.faults import CloseCode
from gateway.messages.message import Notice
from gateway.protocol import notice
from gateway.subscriptions import Subscriptions
from gateway.transport.outgoing import Outgoing
from gateway.transport.refusals import Refusals
from gateway.waiting import Waiting
from shared.bus.presence import ClientRecord, Presence
from shared.metrics import GatewayMetrics
from shared.settings import Settings
from shared.timestamps import now_iso


class ConsumerPort(Protocol):
    """What a consumer needs of the node."""

    hub: Hub
    relay: Relay
    presence: Presence
    metrics: GatewayMetrics
    waiting: Waiting
    refusals: Refusals
    directory: Directory
    settings: Settings

    def remove(self, session: Consumer) -> None:
        """The session has ended."""
        ...


class Consumer:
    """One client: its subscriptions and its outbox. It lives until its connection is `lost`."""

    __slots__ = (
        "_closing",
        "_connected_at",
        "_hub",
        "_last_activity",
        "_metrics",
        "_node",
        "_number",
        "_presence",
        "_socket",
        "client_id",
        "outbox",
        "subscriptions",
    )

    def __init__(
        self, node: ConsumerPort, socket: Outgoing[Any], number: int, form: Form, window: Window | None = None
    ) -> None:
        """`number` is unique in the cluster; `window` is that of a client that negotiated compression."""
        self.client_id = f"client_{number}_{int(time.time())}"
        self.outbox = Outbox(
            socket,
            messages=node.settings.outbox_messages,
            size=node.settings.outbox_bytes,
            close_slow=self._close_slow,
            budget=node.waiting,
            window=window,
        )
        self.subscriptions = Subscriptions(self, node.hub, node.relay, node.metrics, self.outbox, form, node.directory)
        self._node = node
        self._socket = socket
        self._number = number
        self._hub = node.hub
        self._presence = node.presence
        self._metrics = node.metrics
        self._connected_at = self._last_activity = now_iso()
        self._closing = False

    # What the connection calls.

    def ready(self) -> None:
        """The socket accepts frames again."""
        self._hub.drain(self.subscriptions)

    def stalled(self) -> None:
        """The client takes nothing of what waits for it."""
        self._close_slow(self.outbox.close())

    def crowded_out(self) -> None:
        """The gateway needs the memory of what waits for this client."""
        self._drop(self.outbox.close(), "client closed for its memory", "too much waits")

    def lost(self) -> None:
        """The connection has ended."""
        self._closing = True  # a drain that comes later closes nothing here
        self.outbox.close()
        self.subscriptions.end()
        self._presence.drop(self.client_id)
        self._node.remove(self)

    def close(self, code: CloseCode, reason: str) -> None:
        """End the connection. What waits in the outbox is dropped."""
        if not self._closing:
            self._closing = True
            self.outbox.close()
            self._metrics.closed.labels(code.name.lower()).inc()
            self._socket.close_now(code, reason)  # calls `lost`

    def _close_slow(self, dropped: int) -> None:
        self._drop(dropped, "client too slow", "too slow")

    def _drop(self, dropped: int, event: str, reason: str) -> None:
        """End the connection, because of what waited for the client."""
        self._metrics.dropped.labels("closed").inc(dropped)
        self._tell(event, dropped=dropped)
        self.close(CloseCode.SLOW, f"{reason}: reconnect, with `since` to get what was missed")

    def _tell(self, event: str, **fields: int) -> None:
        self._node.refusals.tell(event, self._socket.address, client_id=self.client_id, **fields)

    def _update_presence(self) -> None:
        if self._closing:
            return
        subscriptions = tuple(sorted(self.subscriptions.services))
        self._presence.put(
            ClientRecord(self._number, self.client_id, self._connected_at, self._last_activity, subscriptions)
        )

    # What its subscriptions call.

    def send(self, message: Notice) -> None:
        """Send a message behind all before it."""
        self._hub.settle(self.subscriptions)
        self.outbox.offer(self.subscriptions.form.encode(notice(message.type, message.data)))

    def unproven(self) -> None:
        """Nobody can tell now what the client missed."""
        self.close(CloseCode.TRY_AGAIN_LATER, "this gateway has lost Redis: reconnect, with the same `since`")

    def fell_behind(self) -> None:
        """What the client missed is no longer kept."""
        self.close(CloseCode.SLOW, "too slow: what was missed is no longer kept")

    def recovered(self, error: BaseException | None) -> None:
        """A recovery has ended; `error` is an error of ours."""
        self._update_presence()
        if error is None:
            self._socket.go_on()
        else:
            self._socket.fail(error)
