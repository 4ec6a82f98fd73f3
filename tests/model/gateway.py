"""A gateway of the model: the real subscription, relay, hub and sessions, on sockets of the model."""

from __future__ import annotations

import random
from collections import deque
from typing import Any, Protocol

from gateway.broadcast.hub import Hub
from gateway.broadcast.relay import Relay
from gateway.broadcast.replays import Replays
from gateway.endpoints import ENDPOINTS
from gateway.frames import Buffer
from gateway.session import Session
from gateway.transport.refusals import Refusals
from gateway.waiting import Waiting
from shared.bus import Subscription, open_redis
from shared.bus.presence import ClientRecord
from shared.channels import Channels
from shared.coins import Coins
from shared.metrics import BusMetrics, GatewayMetrics
from shared.settings import Settings
from tests.model.loop import Process, VirtualLoop

_KERNEL = 2  # buffers that a socket takes from a client that reads nothing


class Remote(Protocol):
    """The client at the other end of a socket."""

    def arrive(self, socket: Socket, payload: bytes) -> None:
        """A message has arrived."""
        ...

    def closed(self, socket: Socket, code: int) -> None:
        """The connection has ended."""
        ...


class Presence:
    """Client numbers and counts, which the model leaves out."""

    total_clients = 0
    subscription_counts: dict[str, int] = {}  # noqa: RUF012 - never written

    def put(self, record: ClientRecord) -> None:
        """Not kept."""

    def drop(self, client_id: str) -> None:
        """Not kept."""


class Socket:
    """Both ends of a connection between a client and a gateway. What is sent arrives in order, unless it is lost."""

    deflate = None
    address = "model"

    def __init__(self, loop: VirtualLoop, dice: random.Random, gateway: Process, remote: Remote) -> None:
        self.gone = False
        self.reading = True
        """Whether the client reads."""
        self.silent = False
        """Whether nothing gets through: a black hole."""
        self._loop = loop
        self._dice = dice
        self._gateway = gateway
        self._remote = remote
        self._session: Session | None = None
        self._kernel: deque[Buffer] = deque()
        self._asked: deque[str] = deque()
        self._free = 0.0

    # What the session calls.

    @property
    def ready(self) -> bool:
        """Whether it accepts another buffer."""
        return len(self._kernel) < _KERNEL

    def write_buffer(self, buffer: Buffer) -> None:
        """Send the frames of `buffer`."""
        if self.gone:
            return
        if self.reading and not self.silent and not self._kernel:
            self._send(buffer)
        else:
            self._kernel.append(buffer)

    def serve(self, session: Session) -> None:
        """Pass what is received to `session`."""
        self._session = session
        self.go_on()

    def go_on(self) -> None:
        """The session is less busy than it was."""
        while self._asked and not self.gone and self._session is not None and not self._session.busy:
            message = self._asked.popleft()
            self._session.received(message, len(message))

    def fail(self, error: BaseException) -> None:
        """An error of ours ends the connection; in the model it ends everything."""
        raise error

    def give_up(self) -> None:
        """The budget of memory, which the model does not bound."""

    def close_now(self, code: Any, reason: str) -> None:
        """The gateway ends the connection. What the kernel took still arrives, then the close."""
        if self.gone:
            return
        self._lose()
        if not self.silent:
            for buffer in self._kernel:
                self._send(buffer)
            self._later(self._remote.closed, self, int(code))
        self._kernel.clear()

    # What the client calls, and what happens to the connection.

    def say(self, message: str) -> None:
        """Send a command to the gateway."""
        if not self.silent:
            self._loop.call_later(self._latency(), self._hear, message, context=self._gateway.context)

    def read_again(self) -> None:
        """The client reads what waits, and goes on."""
        self.reading = True
        if not self.silent and not self.gone:
            self._loop.call_soon(self._drain, context=self._gateway.context)

    def cut(self, code: int = 1006) -> None:
        """The connection is lost: the client knows at once, the gateway in its next turn."""
        self.silent = True
        self._loop.call_soon(self._lose, context=self._gateway.context)
        self._remote.closed(self, code)

    def _hear(self, message: str) -> None:
        if not self.gone and not self.silent:
            self._asked.append(message)
            self.go_on()

    def _drain(self) -> None:
        while self._kernel:
            self._send(self._kernel.popleft())
        if self._session is not None and not self.gone:
            self._session.ready()

    def _lose(self) -> None:
        if not self.gone:
            self.gone = True
            if self._session is not None:
                self._session.lost()

    def _send(self, buffer: Buffer) -> None:
        for frame in buffer.frames:
            self._later(self._arrive, frame.payload)

    def _arrive(self, payload: bytes) -> None:
        if not self.silent:
            self._remote.arrive(self, payload)

    def _later(self, function: Any, *args: Any) -> None:
        self._free = max(self._free, self._loop.now + self._latency())
        self._loop.call_at(self._free, function, *args, context=self._loop.outside)

    def _latency(self) -> float:
        return 0.0002 + 0.002 * self._dice.random() ** 3


class Gateway:
    """A gateway process, which can be killed and started again."""

    def __init__(
        self,
        loop: VirtualLoop,
        dice: random.Random,
        name: str,
        services: tuple[str, ...],
        settings: Settings,
        metrics: tuple[BusMetrics, GatewayMetrics],
    ) -> None:
        self.name = name
        self.settings = settings
        self.waiting = Waiting()
        self.presence: Any = Presence()
        self.directory: Any = Coins()  # none is listed: clients of the model filter nothing
        self.metrics = metrics[1]
        self.refusals = Refusals(self.metrics.refused)
        self.hub: Hub
        self.relay: Relay
        self.process: Process
        self.sockets: dict[Socket, None] = {}
        self._loop = loop
        self._dice = dice
        self._services = services
        self._bus_metrics = metrics[0]
        self.start()

    def start(self) -> None:
        """Start the process."""
        self.process = Process(self._loop, self.name)
        self.process.call(self._build)

    def _build(self) -> None:
        settings, time = self.settings, self._loop.time
        redis = open_redis(settings)
        self.process.close_at_end(redis.aclose)
        self.hub = Hub(self._services, settings.history_length, self.metrics, kept=settings.outbox_bytes)
        self.hub.replays = Replays(self.metrics, clock=time)
        subscription = Subscription(
            redis,
            Channels(settings.redis_prefix),
            self._services,
            self.name,
            deadline=settings.delivery_deadline,
            metrics=self._bus_metrics,
            clock=time,
            jitter=self._dice.random,
        )
        self.relay = Relay(subscription, self.hub, self._bus_metrics)
        self.process.start(self.relay.run())
        self.process.start(self.hub.run())

    def kill(self) -> None:
        """SIGKILL: the kernel resets its connections."""
        self.process.kill()
        sockets, self.sockets = self.sockets, {}
        for socket in sockets:
            socket.cut()

    @property
    def accepts(self) -> bool:
        """Whether it takes new clients."""
        return self.process.alive and self.relay.whole

    def accept(self, remote: Remote, *, meta: bool) -> Socket:
        """Serve a client. To be called as the process of this gateway."""
        socket = Socket(self._loop, self._dice, self.process, remote)
        self.sockets[socket] = None
        Session(self, socket, ENDPOINTS["/ws/data"], 1, binary=False, meta=meta, clock=self._loop.time).begin()  # type: ignore[arg-type]
        return socket

    def remove(self, session: Session) -> None:
        """A session has ended."""
        for socket in [socket for socket in self.sockets if socket.gone]:
            del self.sockets[socket]
