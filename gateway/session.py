"""Session: one WebSocket, from accept to close."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import assert_never

from msgspec import UNSET

from gateway.broadcast.compression import Window
from gateway.commands import Commands
from gateway.consumer import Consumer, ConsumerPort
from gateway.endpoints import Endpoint
from gateway.frames import Form
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
from gateway.messages.notices import ErrorData, Statistics, greeting
from gateway.transport.ws_protocol import FrameProtocol
from shared.timestamps import now_iso

_UNREAD_BYTES = 65_536  # that wait for a client; more, and its commands wait, too, so that replies can't pile up


class Session(Consumer):
    """A consumer with commands. It lives from `begin` until its connection is `lost`."""

    __slots__ = ("_commands", "_endpoint")

    _socket: FrameProtocol

    def __init__(
        self,
        node: ConsumerPort,
        socket: FrameProtocol,
        endpoint: Endpoint,
        number: int,
        *,
        binary: bool,
        meta: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`number` is unique in the cluster; `binary` (MessagePack) and `meta` are what the client opted into."""
        deflate = socket.deflate
        window = None if deflate is None else Window(deflate.bits, takeover=deflate.takeover)
        super().__init__(node, socket, number, Form.live(binary=binary, meta=meta), window)
        self._endpoint = endpoint
        self._commands = Commands(binary=binary, clock=clock)

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
