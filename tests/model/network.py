"""The network between processes and Redis: every connection keeps its order, and connections overtake each other.

A link is everything between one process and whichever server it talks to. It can be cut (connections are reset), held
(a black hole: bytes arrive once it is healed), deadened (open connections carry nothing any more, as behind a NAT that
forgot them) and slowed down.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, Protocol

from tests.model.loop import CURRENT, VirtualLoop

_LATENCY = (0.0001, 0.003)  # s, one way
_RETRY = 1.0  # s between two attempts of TCP to open a connection through a black hole


class Peer(Protocol):
    """The server's end of a connection."""

    def received(self, data: bytes) -> bytes:
        """Answer what arrived."""
        ...

    def closed(self) -> None:
        """The connection is gone."""
        ...


class Host(Protocol):
    """A server."""

    @property
    def up(self) -> bool:
        """Whether it accepts connections."""
        ...

    @property
    def frozen(self) -> bool:
        """Whether it is stopped by SIGSTOP: it reads nothing."""
        ...

    def accept(self, wire: Wire) -> Peer:
        """Serve a connection."""
        ...


class Link:
    """The way of one process to the servers."""

    def __init__(self) -> None:
        self.held = False
        self.slow = 0.0
        """Seconds that every direction takes longer."""
        self.wires: dict[Wire, None] = {}

    def cut(self, *, answers_only: bool = False) -> None:
        """Reset every connection. With `answers_only`, what was on its way to the server still arrives."""
        for wire in tuple(self.wires):
            wire.reset(arrives=answers_only)

    def hold(self) -> None:
        """Let nothing through, in either direction, until healed."""
        self.held = True

    def deaden(self) -> None:
        """Forget the connections that are open: nobody is told, and nothing gets through any more."""
        for wire in self.wires:
            wire.dead = True

    def heal(self) -> None:
        """Let everything through that TCP still retransmits."""
        self.held = False
        self.slow = 0.0
        for wire in tuple(self.wires):
            wire.pump()


class _Pipe:
    """One direction of a connection."""

    def __init__(self, wire: Wire, deliver: Callable[[bytes], Any], context: Context) -> None:
        self._wire = wire
        self._deliver = deliver
        self._context = context
        self._on_the_way: deque[tuple[float, bytes]] = deque()
        self._free = 0.0

    def send(self, data: bytes) -> None:
        wire = self._wire
        at = max(self._free, wire.loop.now + wire.network.latency() + wire.link.slow)
        self._free = at
        self._on_the_way.append((at, data))
        wire.loop.call_at(at, self.pump, context=wire.network.context)

    def pump(self) -> None:
        wire = self._wire
        while self._on_the_way and self._on_the_way[0][0] <= wire.loop.now:
            if wire.link.held or wire.dead or (wire.host.frozen and self is wire.up):
                return
            _, data = self._on_the_way.popleft()
            if self is wire.up:
                self._deliver(data)
            else:
                wire.loop.call_soon(self._deliver, data, context=self._context)

    def flush(self) -> None:
        """Deliver all of it now."""
        while self._on_the_way:
            self._deliver(self._on_the_way.popleft()[1])


class Wire(asyncio.Transport):
    """One connection: the transport of the client's protocol, and what is behind it."""

    def __init__(self, network: Network, link: Link, host: Host, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.network = network
        self.loop = network.loop
        self.link = link
        self.host = host
        self.dead = False
        self._protocol = protocol
        self._open = True
        self._context = copy_context()
        self.up = _Pipe(self, self._at_server, network.context)
        self.down = _Pipe(self, self._at_client, self._context)
        self._peer = host.accept(self)
        link.wires[self] = None
        network.wires[self] = None

    # What the client's protocol calls.

    def write(self, data: Any) -> None:
        if self._open:
            self.up.send(bytes(data))

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def is_closing(self) -> bool:
        return not self._open

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        """The model's buffers are not bounded."""

    def resume_reading(self) -> None:
        """The model's buffers are not bounded."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """The model's buffers are not bounded."""

    # What happens to it.

    def pump(self) -> None:
        """Deliver what was held up."""
        self.up.pump()
        self.down.pump()

    def reset(self, *, arrives: bool = False) -> None:
        """Both ends get a reset; what is on its way is lost, unless it `arrives` at the server."""
        if arrives and self._open:
            self.up.flush()
        self._end(ConnectionResetError("reset"))

    def push(self, data: bytes) -> None:
        """Send something from the server."""
        if self._open:
            self.down.send(data)

    def _end(self, error: Exception | None) -> None:
        if not self._open:
            return
        self._open = False
        self.link.wires.pop(self, None)
        self.network.wires.pop(self, None)
        self._peer.closed()
        self.loop.call_soon(self._protocol.connection_lost, error, context=self._context)

    def _at_server(self, data: bytes) -> None:
        if self._open:
            answer = self._peer.received(data)
            if answer:
                self.push(answer)

    def _at_client(self, data: bytes) -> None:
        if self._open:
            self._protocol.data_received(data)


class Network:
    """Opens connections. `resolve` is the DNS: the server that an address stands for now."""

    def __init__(self, loop: VirtualLoop, dice: random.Random, resolve: Callable[[str], Host]) -> None:
        self.loop = loop
        self.context = copy_context()
        self.wires: dict[Wire, None] = {}
        self._dice = dice
        self._resolve = resolve
        self._links: dict[str, Link] = {}
        loop.connect = self._connect

    def link(self, name: str) -> Link:
        """The link of the process called `name`."""
        return self._links.setdefault(name, Link())

    def latency(self) -> float:
        """Seconds that some bytes take, one way."""
        low, high = _LATENCY
        return low + (high - low) * self._dice.random() ** 3

    def reset(self, host: Host) -> None:
        """Reset every connection of a server."""
        for wire in tuple(self.wires):
            if wire.host is host:
                wire.reset()

    async def _connect(self, protocol: asyncio.Protocol, host: str, port: int) -> asyncio.Transport:
        process = CURRENT.get()
        assert process is not None
        link = self.link(process.name)
        while True:
            await asyncio.sleep(self.latency() + link.slow)
            if not link.held:
                break
            await asyncio.sleep(_RETRY)
        server = self._resolve(host)
        if not server.up:
            raise ConnectionRefusedError("refused")
        wire = Wire(self, link, server, protocol)
        protocol.connection_made(wire)
        return wire
