"""Session: one connection, from accept to close."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, assert_never

from msgspec import UNSET

from gateway.broadcast.compression import Window
from gateway.broadcast.hub import Hub
from gateway.broadcast.outbox import Outbox
from gateway.broadcast.relay import Relay
from gateway.commands import Commands
from gateway.endpoints import Endpoint
from gateway.frames import Form, encode
from gateway.messages.actions import (
    AnyCommand,
    ConnectionStatus,
    GetStatus,
    Ping,
    Pong,
    Subscribe,
    Unsubscribe,
)
from gateway.messages.faults import CloseCode, Fault
from gateway.messages.message import Notice
from gateway.messages.notices import ErrorData, Statistics, greeting
from gateway.protocol import notice
from gateway.subscriptions import Subscriptions
from gateway.transport.refusals import Refusals
from gateway.transport.ws_protocol import FrameProtocol
from gateway.waiting import Waiting
from shared.bus.presence import ClientRecord, Presence
from shared.metrics import GatewayMetrics
from shared.settings import Settings
from shared.timestamps import now_iso

_UNREAD_BYTES = 65_536  # that wait for a client; more, and its commands wait, too, so that replies can't pile up


class SessionPort(Protocol):
    """What a session needs of the node."""

    hub: Hub
    relay: Relay
    presence: Presence
    metrics: GatewayMetrics
    waiting: Waiting
    refusals: Refusals
    settings: Settings

    def remove(self, session: Session) -> None:
        """The session has ended."""
        ...


class Session:
    """One client: its subscriptions, its commands, its outbox. It lives from `begin` until its connection is `lost`."""

    __slots__ = (
        "_binary",
        "_closing",
        "_commands",
        "_connected_at",
        "_endpoint",
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
        self,
        node: SessionPort,
        socket: FrameProtocol,
        endpoint: Endpoint,
        number: int,
        *,
        binary: bool,
        meta: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`number` is unique in the cluster; `binary` (MessagePack) and `meta` are what the client opted into."""
        self.client_id = f"client_{number}_{int(time.time())}"
        limits, deflate = node.settings, socket.deflate
        self.outbox = Outbox(
            socket,
            messages=limits.outbox_messages,
            size=limits.outbox_bytes,
            close_slow=self._close_slow,
            budget=node.waiting,
            window=None if deflate is None else Window(deflate.bits, takeover=deflate.takeover),
        )
        form = Form.live(binary=binary, meta=meta)
        self.subscriptions = Subscriptions(self, node.hub, node.relay, node.metrics, self.outbox, form)
        self._node = node
        self._socket = socket
        self._endpoint = endpoint
        self._number = number
        self._hub = node.hub
        self._presence = node.presence
        self._metrics = node.metrics
        self._binary = binary
        self._commands = Commands(binary=binary, clock=clock)
        self._connected_at = self._last_activity = now_iso()
        self._closing = False

    def begin(self) -> None:
        """Greet; from now on the connection passes what it receives to this session."""
        self._update_presence()
        self._greet()
        self._update_presence()
        self._socket.serve(self)

    # What the connection calls.

    @property
    def busy(self) -> bool:
        """Whether the next command has to wait: for a recovery, or until this client has read more of what waits."""
        return self.subscriptions.recovering or self.outbox.size > _UNREAD_BYTES

    def received(self, message: str | bytes, size: int) -> None:
        """Carry out the command in a message of `size` bytes."""
        if not self._closing:
            self._last_activity = now_iso()
            self._answer(message, size)
            self._update_presence()

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

    # What is sent without a command.

    def _greet(self) -> None:
        endpoint = self._endpoint
        for message in greeting(endpoint, self._statistics, client_id=self.client_id, connected_at=self._connected_at):
            self.send(message)
        if endpoint.subscribes:
            self.subscriptions.subscribe(Subscribe(asked=endpoint.subscribes))

    def _statistics(self) -> Statistics:
        presence = self._presence
        return Statistics(total_connections=presence.total_clients, subscription_counts=presence.subscription_counts)

    # Commands and their replies.

    def _answer(self, message: str | bytes, size: int) -> None:
        try:
            command = self._commands.read(message, size)
            self._metrics.commands.labels(command.action).inc()
            self._carry_out(command)
        except Fault as fault:
            self._metrics.errors.labels(fault.code).inc()
            self.send(ErrorData(**fault.data, id=UNSET if self._commands.id is None else self._commands.id))
            if self._commands.hopeless:
                self._tell("client kept on although rate limited")
                self.close(CloseCode.POLICY, "rate limited, and kept on")

    def _carry_out(self, command: AnyCommand) -> None:
        match command:
            case Subscribe():
                self.subscriptions.subscribe(command)
            case Unsubscribe():
                self.subscriptions.unsubscribe(command)
            case GetStatus():
                self._report_status(command)
            case Ping():
                self.send(Pong(echo=command.data, id=command.id))
            case _:
                assert_never(command)

    def _report_status(self, command: GetStatus) -> None:
        self.send(
            ConnectionStatus(
                client_id=self.client_id,
                connected_at=self._connected_at,
                last_activity=self._last_activity,
                subscriptions=sorted(self.subscriptions.services),
                total_clients=self._presence.total_clients,
                id=command.id,
            )
        )

    # What its subscriptions call.

    def send(self, message: Notice) -> None:
        """Send a message behind all before it."""
        self._hub.settle(self.subscriptions)
        self.outbox.offer(encode(notice(message.type, message.data), binary=self._binary))

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
