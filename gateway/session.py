"""Session: one WebSocket, from accept to close."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, assert_never

from msgspec import UNSET

from gateway.broadcast.compression import Window
from gateway.commands import Commands
from gateway.consumer import Consumer, ConsumerPort
from gateway.endpoints import Endpoint
from gateway.filters.reading import raw_of_query
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

    def begin(self, query: Iterable[tuple[str, str]] = ()) -> None:
        """Greet; from now on the connection passes what it receives to this session.

        `query` are the parameters of its address, which may have a filter of what the endpoint subscribes to.
        """
        self._update_presence()
        self._greet(raw_of_query(query))
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

    def _greet(self, wanted: dict[str, Any]) -> None:
        """Greet, and subscribe to what the endpoint does, filtered as `wanted`; to nothing where that is no filter.

        A wrong filter is no reason to refuse the handshake: browsers do not show a page why that was.
        """
        command = fault = None
        try:
            command = self._automatic(wanted)
        except Fault as error:
            fault = error
        greeted = greeting(
            self._endpoint,
            self._statistics,
            client_id=self.client_id,
            connected_at=self._connected_at,
            subscribes=command is not None,
        )
        for message in greeted:
            self.send(message)
        if fault is not None:
            self._refuse(fault)
        if command is not None:
            self.subscriptions.subscribe(command)

    def _automatic(self, wanted: dict[str, Any]) -> Subscribe | None:
        """What the endpoint subscribes to; None for nothing. Raises Fault `invalid_filter`."""
        path, asked = self._endpoint.path, self._endpoint.subscribes
        if asked is None:
            if wanted:
                raise Fault("invalid_filter", f"{path} subscribes to nothing: give the filter with a subscribe")
            return None
        command = Subscribe(asked=asked, filter=wanted or UNSET)
        self.subscriptions.read_filter(command)
        return command

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
            self._refuse(fault, self._commands.id)
            if self._commands.hopeless:
                self._tell("client kept on although rate limited")
                self.close(CloseCode.POLICY, "rate limited, and kept on")

    def _refuse(self, fault: Fault, command_id: str | int | None = None) -> None:
        self._metrics.errors.labels(fault.code).inc()
        self.send(ErrorData(**fault.data, id=UNSET if command_id is None else command_id))

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
        filters = self.subscriptions.filters
        self.send(
            ConnectionStatus(
                client_id=self.client_id,
                connected_at=self._connected_at,
                last_activity=self._last_activity,
                subscriptions=sorted(self.subscriptions.services),
                total_clients=self._presence.total_clients,
                filters={service: only.as_dict() for service, only in filters.items()} if filters else UNSET,
                id=command.id,
            )
        )
