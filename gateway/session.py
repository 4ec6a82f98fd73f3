"""Session: one connection, from accept to close."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol, assert_never

import structlog
from msgspec import UNSET, UnsetType

from gateway.broadcast.compression import Window
from gateway.broadcast.hub import Hub
from gateway.broadcast.outbox import Outbox
from gateway.broadcast.replays import Allowance, FellBehind
from gateway.commands import Commands
from gateway.endpoints import Endpoint, expand
from gateway.frames import Form, encode
from gateway.messages.actions import (
    AnyCommand,
    ConnectionStatus,
    GetStatus,
    Ping,
    Pong,
    ServicePosition,
    Since,
    Subscribe,
    SubscriptionConfirmed,
    Unsubscribe,
    UnsubscriptionConfirmed,
)
from gateway.messages.faults import CloseCode, Fault
from gateway.messages.message import Notice
from gateway.messages.notices import ErrorData, Statistics, greeting
from gateway.protocol import notice
from gateway.transport.ws_protocol import FrameProtocol
from gateway.waiting import Waiting
from shared.bus import Position
from shared.bus.presence import ClientRecord, Presence
from shared.metrics import GatewayMetrics
from shared.settings import Settings
from shared.timestamps import now_iso

log = structlog.get_logger()

_AHEAD = 2.0  # s to wait for an update that the client has received from another gateway; the bus takes milliseconds
_UNREAD_BYTES = 65_536  # that wait for a client; more, and its commands wait, too, so that replies can't pile up


class SessionPort(Protocol):
    """What a session needs of the node."""

    hub: Hub
    presence: Presence
    metrics: GatewayMetrics
    waiting: Waiting
    settings: Settings

    def remove(self, session: Session) -> None:
        """The session has ended."""
        ...


class Session:
    """One client: its subscriptions, its commands, its outbox. It lives from `begin` until its connection is `lost`."""

    __slots__ = (
        "_address",
        "_allowance",
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
        "_recovery",
        "_socket",
        "client_id",
        "form",
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
        address: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`number` is unique in the cluster; `binary` (MessagePack) and `meta` are what the client opted into.

        `address` is the address of the client, for the log.
        """
        self.client_id = f"client_{number}_{int(time.time())}"
        self.subscriptions: set[str] = set()
        self.form = Form.live(binary=binary, meta=meta)
        limits, deflate = node.settings, socket.deflate
        self.outbox = Outbox(
            socket,
            messages=limits.outbox_messages,
            size=limits.outbox_bytes,
            close_slow=self._close_slow,
            budget=node.waiting,
            window=None if deflate is None else Window(deflate.bits, takeover=deflate.takeover),
        )
        self._node = node
        self._socket = socket
        self._endpoint = endpoint
        self._number = number
        self._hub = node.hub
        self._presence = node.presence
        self._metrics = node.metrics
        self._binary = binary
        self._address = address
        self._commands = Commands(binary=binary, clock=clock)
        self._connected_at = self._last_activity = now_iso()
        self._recovery: asyncio.Task[None] | None = None
        self._allowance: Allowance | None = None  # made for the first replay: most clients have none
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
        return self._recovery is not None or self.outbox.size > _UNREAD_BYTES

    def received(self, message: str | bytes, size: int) -> None:
        """Carry out the command in a message of `size` bytes."""
        if not self._closing:
            self._last_activity = now_iso()
            self._answer(message, size)
            self._update_presence()

    def ready(self) -> None:
        """The socket accepts frames again."""
        self._hub.drain(self)

    def stalled(self) -> None:
        """The client takes nothing of what waits for it."""
        self._close_slow(self.outbox.close())

    def crowded_out(self) -> None:
        """The gateway needs the memory of what waits for this client."""
        dropped = self.outbox.close()
        self._metrics.dropped.labels("closed").inc(dropped)
        log.info("client closed for its memory", client_id=self.client_id, address=self._address, dropped=dropped)
        self.close(CloseCode.SLOW, "too much waits: reconnect, with `since` to get what was missed")

    def lost(self) -> None:
        """The connection has ended."""
        self._closing = True  # a drain that comes later closes nothing here
        self.outbox.close()
        if self._recovery is not None:
            self._recovery.cancel()
        self._hub.want(self, ())
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
        self._metrics.dropped.labels("closed").inc(dropped)
        log.info("client too slow", client_id=self.client_id, address=self._address, dropped=dropped)
        self.close(CloseCode.SLOW, "too slow: reconnect, with `since` to get what was missed")

    def _update_presence(self) -> None:
        if self._closing:
            return
        subscriptions = tuple(sorted(self.subscriptions))
        self._presence.put(
            ClientRecord(self._number, self.client_id, self._connected_at, self._last_activity, subscriptions)
        )

    # What is sent without a command.

    def _greet(self) -> None:
        endpoint = self._endpoint
        for message in greeting(endpoint, self._statistics, client_id=self.client_id, connected_at=self._connected_at):
            self._send(message)
        if endpoint.subscribes:
            self._subscribe(Subscribe(asked=endpoint.subscribes))

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
            self._send(ErrorData(**fault.data, id=UNSET if self._commands.id is None else self._commands.id))
            if self._commands.hopeless:
                log.info("client kept on although rate limited", client_id=self.client_id, address=self._address)
                self.close(CloseCode.POLICY, "rate limited, and kept on")

    def _carry_out(self, command: AnyCommand) -> None:
        match command:
            case Subscribe(since=Since(epoch=epoch, seq=seq)):
                self._recovery = asyncio.get_running_loop().create_task(self._recover(command, Position(epoch, seq)))
                self._recovery.add_done_callback(self._recovered)
            case Subscribe():
                self._subscribe(command)
            case Unsubscribe():
                self._unsubscribe(command)
            case GetStatus():
                self._report_status(command)
            case Ping():
                self._send(Pong(echo=command.data, id=command.id))
            case _:
                assert_never(command)

    def _report_status(self, command: GetStatus) -> None:
        self._send(
            ConnectionStatus(
                client_id=self.client_id,
                connected_at=self._connected_at,
                last_activity=self._last_activity,
                subscriptions=sorted(self.subscriptions),
                total_clients=self._presence.total_clients,
                id=command.id,
            )
        )

    def _subscribe(self, command: Subscribe) -> None:
        services = expand(command.services)
        self.subscriptions.update(services)
        self._choose(command)
        self._go_live()
        self._confirm(command, {service: self._hub.recent[service].position for service in services})
        for service in services:
            self._hub.send_latest(self, service)

    def _unsubscribe(self, command: Unsubscribe) -> None:
        services = expand(command.services)
        self.subscriptions.difference_update(services)
        self.outbox.delivery.forget(services)
        self._go_live()
        left = sorted(self.subscriptions)
        self._send(UnsubscriptionConfirmed(service=command.asked, subscriptions=left, id=command.id))

    async def _recover(self, command: Subscribe, since: Position) -> None:
        """Send what was missed since a position, then go live; a snapshot where continuity can't be proven."""
        self._show_meta()
        (service,) = command.services
        recent = self._hub.recent[service]
        self.subscriptions.add(service)
        self._choose(command)
        self._go_live(but=service)  # live updates only after the missed ones
        await recent.reach(since, _AHEAD)
        missed = recent.since(since)
        self._metrics.recoveries.labels(str(missed is not None).lower()).inc()
        # Until the first replayed update, the client has to come back with the position that it came with.
        self._confirm(command, {service: recent.position if missed is None else since}, recovered=missed is not None)
        if missed is None:
            self._hub.send_latest(self, service)
        elif missed:
            self._allowance = self._allowance or Allowance()
            try:
                await self._hub.replays.run(self.outbox, missed, self.form.as_recovered(), self._allowance)
            except FellBehind:
                self.close(CloseCode.SLOW, "too slow: what was missed is no longer kept")
        self._go_live()

    def _recovered(self, recovery: asyncio.Task[None]) -> None:
        self._recovery = None
        self._update_presence()
        error = None if recovery.cancelled() else recovery.exception()
        if error is None:
            self._socket.go_on()
        else:
            self._socket.fail(error)

    def _show_meta(self) -> None:
        form = Form.live(binary=self._binary, meta=True)
        if form is not self.form:
            self.form = form
            self._go_live()

    def _go_live(self, *, but: str | None = None) -> None:
        """Receive from now on every service that is subscribed to, except `but`."""
        if not self._closing:
            self._hub.want(self, self.subscriptions - {but})

    def _choose(self, command: Subscribe) -> None:
        if command.deliver is not UNSET:
            self.outbox.delivery.choose(expand(command.services), command.deliver)

    def _confirm(self, command: Subscribe, at: Mapping[str, Position], recovered: bool | UnsetType = UNSET) -> None:
        """Confirm; `at` are the positions that the next updates follow."""
        positions = {service: ServicePosition(epoch=epoch, seq=seq) for service, (epoch, seq) in at.items()}
        shown, one = self.form.has_meta, isinstance(command.asked, str) and command.asked in positions
        self._send(
            SubscriptionConfirmed(
                service=command.asked,
                subscriptions=sorted(self.subscriptions),
                recovered=recovered,
                position=positions[str(command.asked)] if shown and one else UNSET,
                positions=positions if shown and not one else UNSET,
                deliver=command.deliver,
                id=command.id,
            )
        )

    def _send(self, message: Notice) -> None:
        self._hub.settle(self)
        self.outbox.offer(encode(notice(message.type, message.data), binary=self._binary))
