"""A session on a socket that takes as much as a script says, and a client that holds what it gets to the protocol."""

from __future__ import annotations

import asyncio
import functools
import itertools
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import msgpack

from gateway.broadcast.compression import Window
from gateway.broadcast.hub import Hub
from gateway.broadcast.outbox import Outbox
from gateway.broadcast.relay import Relay
from gateway.directory import Directory
from gateway.endpoints import ENDPOINTS
from gateway.filters.filter import Filter
from gateway.frames import Buffer, Form, decode_binary, decode_text
from gateway.session import Session
from gateway.transport.extensions import Deflate
from gateway.transport.refusals import Refusals
from gateway.transport.ws_protocol import FrameProtocol
from gateway.updates import Update
from gateway.waiting import Waiting
from shared.bus import open_redis
from shared.bus.presence import Presence
from shared.catalog import CHANNEL_NAMES, STATES
from shared.channels import Channels
from shared.coins import Coins
from shared.envelope import Envelope
from shared.metrics import GatewayMetrics, open_registry
from shared.settings import Settings
from tests.gateway.inflating import decoded

UNHINDERED = 1_000_000
"""Writes that a socket takes before it is full: more than any script makes."""

_TEXT = random.Random(1).randbytes(50_000).hex()  # compresses only against itself, so updates refer to those before


@functools.cache  # hundreds of lines are played
def _settings() -> Settings:
    return Settings(_env_file=None, redis_url="redis://127.0.0.1:1/0")


def update(service: str, seq: int, size: int = 0) -> Update:
    """Number `seq` of a service, with `size` bytes of padding."""
    fields = {"service": service, "type": "update", "data": {"n": seq, "pad": _TEXT[:size]}, "timestamp": "t"}
    raw = msgpack.packb(fields | {"epoch": "e", "seq": seq})
    return Update(Envelope.unpack(raw), raw)


class Socket:
    """What a session needs of its connection. It takes `room` writes, then is not ready until there is room again."""

    def __init__(self, deflate: Deflate | None = None) -> None:
        self.deflate = deflate
        self.address = None
        self.wire = bytearray()
        self.ready, self.gone, self.room = True, False, UNHINDERED
        self.frames: list[bytes] = []
        self.code: int | None = None
        self.session: Session | None = None
        self.before: Callable[[], None] = lambda: None
        """Called before the session carries out a command."""
        self._held: deque[tuple[str | bytes, int]] = deque()

    def serve(self, session: Session) -> None:
        self.session = session

    def write_buffer(self, buffer: Buffer) -> None:
        assert self.ready, "written although not ready"
        self.wire += buffer.wire
        self.frames.extend(frame.payload for frame in buffer.frames)
        self.room -= 1
        self.ready = self.room > 0

    def take(self, room: int) -> None:
        """The client reads so many more writes."""
        self.room = room
        ready, self.ready = self.ready, room > 0 and not self.gone
        if self.ready and not ready and self.session is not None:
            self.session.ready()
            self.go_on()

    def receive(self, message: str | bytes) -> None:
        """The client sends a command."""
        self._held.append((message, len(message)))
        self.go_on()

    def go_on(self) -> None:
        while self._held and self.session is not None and not self.session.busy:
            self.before()
            self.session.received(*self._held.popleft())

    def close_now(self, code: int, _reason: str) -> None:
        self.code, self.gone, self.ready = code, True, False
        session, self.session = self.session, None
        assert session is not None
        session.lost()

    def give_up(self) -> None:
        raise AssertionError("there is no budget")

    def fail(self, error: BaseException) -> None:
        raise error


class Proven:
    """A relay that has heard everything there is."""

    async def prove(self) -> None:
        return


class Companion:
    """A client that wants the same and reads everything: the compressed stream of their cohort goes on with it."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.filters: dict[str, Filter] = {}
        self.socket = Socket()
        self.outbox = Outbox(
            self.socket, messages=1000, size=1 << 30, close_slow=lambda dropped: None, budget=Waiting(), window=Window()
        )


@dataclass
class View:
    """What the client knows of one service that it is subscribed to."""

    last: int
    """The newest seq that it has, or the position that it was told."""
    repeats: bool = True
    """Whether an update may come again: because of a subscribe."""


@dataclass
class Line:
    """One client and its session, with all that it was sent held to the protocol."""

    meta: bool = False
    binary: bool = False
    deflates: bool = False
    messages: int = 16
    services: tuple[str, ...] = CHANNEL_NAMES
    socket: Socket = field(init=False)
    skipped: int = 0
    """Updates that the client knows it did not get."""
    got: dict[str, list[int]] = field(default_factory=dict)
    """Per service, every seq that it was sent."""
    views: dict[str, View] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.socket = Socket(Deflate() if self.deflates else None)
        self.metrics = GatewayMetrics(open_registry())
        self.hub = Hub(CHANNEL_NAMES, 100, self.metrics, kept=1 << 20)
        limits = {"outbox_messages": self.messages, "outbox_bytes": 1 << 20}
        self.settings = _settings().model_copy(update=limits)
        self.waiting = Waiting()
        self.refusals = Refusals(self.metrics.refused)
        self.relay = cast(Relay, Proven())
        self.directory = cast(Directory, Coins())
        self.presence = Presence(open_redis(self.settings), Channels(), "test")
        socket, clock = cast(FrameProtocol, self.socket), _hours()
        meta = self.meta or self.binary
        self.session = Session(self, socket, ENDPOINTS["/ws/data"], 1, binary=self.binary, meta=meta, clock=clock)
        self._read = 0
        self._sent: deque[dict[str, Any]] = deque()  # commands that are yet to be carried out
        self._asked: dict[int, tuple[dict[str, Any], dict[str, int]]] = {}
        self._ids = itertools.count()
        self.socket.before = self._carry_out
        self._choices: dict[str, str] = {}
        self._every = set(CHANNEL_NAMES)
        self.companion = Companion(self.session.subscriptions.form)
        self.session.begin()

    def remove(self, session: Session) -> None:
        """The session has ended."""
        assert session is self.session

    # What the script does.

    def newest(self, service: str) -> int:
        """The seq of the newest update."""
        return self.hub.recent[service].position.seq

    def publish(self, service: str, size: int = 0) -> None:
        """One more update."""
        self.hub.broadcast(update(service, self.newest(service) + 1, size))

    def say(self, action: str, **command: Any) -> None:
        """Send a command."""
        command_id = next(self._ids)
        command |= {"action": action, "id": command_id}
        self._sent.append(command)
        if action == "subscribe":
            self.meta = self.meta or "since" in command
            if "deliver" in command:
                self._choices[command["service"]] = command["deliver"]
        elif action == "unsubscribe":
            self._choices.pop(command["service"], None)
        self._note_policy()
        self.socket.receive(msgpack.packb(command) if self.binary else json.dumps(command))
        self._note_policy()
        self.companion.form = self.session.subscriptions.form
        self.hub.want(self.companion, self.session.subscriptions.services)

    def _carry_out(self) -> None:
        command = self._sent.popleft()
        self._asked[command["id"]] = (command, {service: self.newest(service) for service in self.services})

    def _note_policy(self) -> None:
        """Note which services have been delivered as `latest` at any time."""
        default = frozenset() if self.meta or self.binary else STATES
        for service in self.services:
            choice = self._choices.get(service, "latest" if service in default else "every")
            if choice == "latest":
                self._every.discard(service)

    async def end(self) -> None:
        """The client reads everything, and every command is carried out."""
        for _ in range(1000):
            self.socket.take(UNHINDERED)
            await asyncio.sleep(0)
            if not self._sent and not self.session.busy:
                break
        await asyncio.sleep(0)
        self.check()
        for socket in (self.socket, self.companion.socket):
            assert decoded(socket.wire) == socket.frames

    # What the client holds the session to.

    def check(self) -> None:
        """Read what was sent since the last check."""
        frames = self.socket.frames[self._read :]
        self._read += len(frames)
        for frame in frames:
            message = decode_binary(frame) if self.binary else decode_text(frame.decode())
            if message["type"] == "update":
                self._update(message["service"], message["data"]["n"], message.get("meta"))
            elif message["type"] == "subscription_confirmed":
                self._confirmed(message["data"])
            elif message["type"] == "unsubscription_confirmed":
                self._unsubscribed(message["data"])
            else:
                assert message["type"] in ("connection_established", "pong"), message

    def check_end(self) -> None:
        """Nothing is under way: the newest of everything is here, or the connection was closed as slow."""
        counted = {name: self.metrics.dropped.labels(name)._value.get() for name in ("replaced", "closed")}
        if self.socket.code is not None:
            assert self.socket.code == 4008
            assert counted["closed"] > 0
            assert self.session.outbox not in self.hub._places
            return
        assert not self._sent
        assert {service: view.last for service, view in self.views.items()} == {
            service: self.newest(service) for service in self.session.subscriptions.services
        }
        assert counted == {"replaced": self.skipped, "closed": 0}

    def _update(self, service: str, seq: int, meta: dict[str, Any] | None) -> None:
        view = self.views[service]  # nobody gets what is not subscribed
        self.got.setdefault(service, []).append(seq)
        gap = seq - view.last - 1
        if gap == -1:
            assert view.repeats, f"{service} {seq} came twice"
            assert meta is None or meta.get("snapshot"), meta
            view.repeats = False
            return
        assert gap >= 0, f"{service} {seq} after {view.last}"
        assert meta is None or (gap or None) == meta.get("skipped"), (gap, meta)
        assert meta is None or seq == meta["seq"]
        assert gap == 0 or service not in self._every, f"{service}: {gap} before {seq} are missing"
        self.skipped += gap
        view.last, view.repeats = seq, False

    def _confirmed(self, data: dict[str, Any]) -> None:
        command, newest = self._asked[data["id"]]
        service = command["service"]
        assert data.get("deliver") == command.get("deliver")
        position = data["position"]["seq"] if "position" in data else newest[service]
        if service not in self.views or "since" in command:
            self.views[service] = View(position)
        self.views[service].repeats = True

    def _unsubscribed(self, data: dict[str, Any]) -> None:
        command, newest = self._asked[data["id"]]
        view = self.views.pop(command["service"], None)
        assert view is None or view.last == newest[command["service"]]


def _hours() -> Callable[[], float]:
    """A clock by which commands are hours apart: none is too many."""
    hours = itertools.count(0, 3600)
    return lambda: float(next(hours))
