"""A client as the documentation tells it to be: it comes back with its position, and checks whatever it gets."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import msgspec

from shared.bus import Position
from shared.catalog import STATES
from tests.model.gateway import Gateway, Socket
from tests.model.loop import VirtualLoop
from tests.model.truth import Truth, View

_PATIENCE = 3.0  # s until a connection that is not accepted is given up
SILENCE = 8.0  # s of a black hole until the client gives its connection up


class Client:
    """One client. It stays connected to one of the gateways, and takes the next one where that is refused."""

    def __init__(
        self,
        loop: VirtualLoop,
        dice: random.Random,
        truth: Truth,
        name: str,
        gateways: Sequence[Gateway],
        services: Sequence[str],
        *,
        history: int,
        meta: bool,
        deliver: str | None,
    ) -> None:
        """With `meta` it sees positions, and comes back with them."""
        self.name = name
        self.meta = meta
        self.views = {
            service: View(truth, name, service, history, meta, deliver == "every" or service not in STATES)
            for service in services
        }
        self._loop = loop
        self._dice = dice
        self._truth = truth
        self._gateways = gateways
        self._deliver = deliver
        self._next = dice.randrange(len(gateways))
        self._socket: Socket | None = None
        self._away = False
        self._attempt = 0
        self.connect()

    # What it does.

    def connect(self) -> None:
        """Open a connection, to the next gateway that accepts it."""
        self._away = False
        self._attempt += 1
        self._loop.call_later(0.001, self._try, self._attempt, context=self._loop.outside)

    def move(self) -> None:
        """Prefer the next gateway from now on."""
        self._next += 1

    def leave(self, seconds: float) -> None:
        """Close the connection, and come back later."""
        self._away = True
        self._attempt += 1
        if self._socket is not None:
            self._socket.cut(1000)
        self._loop.call_later(seconds, self.connect, context=self._loop.outside)

    def cut(self) -> None:
        """Lose the connection."""
        if self._socket is not None:
            self._socket.cut()

    def hole(self) -> None:
        """Lose the connection without noticing it for a while; the gateway goes on sending."""
        if self._socket is not None:
            socket = self._socket
            socket.silent = True
            self._loop.call_later(SILENCE, self._give_up, socket, context=self._loop.outside)

    def stop_reading(self, seconds: float) -> None:
        """Be slow for a while."""
        if self._socket is not None:
            socket = self._socket
            socket.reading = False
            self._loop.call_later(seconds, socket.read_again, context=self._loop.outside)

    def _give_up(self, socket: Socket) -> None:
        if self._socket is socket:
            socket.cut()

    def _try(self, attempt: int) -> None:
        if attempt != self._attempt or self._socket is not None:
            return
        gateway = self._gateways[self._next % len(self._gateways)]
        self._loop.call_later(_PATIENCE, self._retry, attempt, context=self._loop.outside)
        if gateway.process.alive:
            self._loop.call_later(0.001, self._accepted, gateway, attempt, context=gateway.process.context)
        else:
            self._loop.call_later(0.2, self._retry, attempt, context=self._loop.outside)

    def _accepted(self, gateway: Gateway, attempt: int) -> None:
        """The gateway answers; this runs as its process."""
        if attempt != self._attempt or self._socket is not None:
            return
        if not gateway.accepts:
            self._loop.call_later(0.2, self._retry, attempt, context=self._loop.outside)
            return
        self._truth.note(f"{self.name:9} connects to {gateway.name}")
        self._socket = gateway.accept(self, meta=self.meta)
        for service, view in self.views.items():
            command: dict[str, object] = {"action": "subscribe", "service": service}
            since = view.come_back(gateway.hub.recent[service].position)
            if since is not None:
                command["since"] = since._asdict()
            if self._deliver is not None:
                command["deliver"] = self._deliver
            self._socket.say(json.dumps(command))

    def _retry(self, attempt: int) -> None:
        if attempt == self._attempt and self._socket is None and not self._away:
            self.move()
            self.connect()

    # What happens to it.

    def arrive(self, socket: Socket, payload: bytes) -> None:
        """A message has arrived."""
        if socket is not self._socket:
            return
        message = msgspec.json.decode(payload)
        data, service = message["data"], message["service"]
        if message["type"] == "subscription_confirmed":
            recovered = data.get("recovered")
            view = self.views[data["service"]]
            self._truth.note(f"{self.name:9} is confirmed {data['service']}, recovered {recovered}")
            at = data.get("position")
            view.subscribed(recovered, None if at is None else Position(at["epoch"], at["seq"]))
        elif message["type"] == "update" and "n" in data:
            meta = message.get("meta", {})
            position = Position(meta["epoch"], meta["seq"]) if meta else None
            marks = " ".join(f"{k}={v}" for k, v in meta.items() if k not in ("epoch", "seq", "published_at"))
            self._truth.note(
                f"{self.name:9} gets {service} {self._truth.place(service, position)} n={data['n']} {marks}"
            )
            self.views[service].update(position, data["n"], meta)
        elif message["type"] == "update" and data.get("event") == "updates_lost":
            self._truth.note(f"{self.name:9} is told: {data['message']}")
            self.views[data["about"]].lost()
        elif message["type"] == "error":
            raise AssertionError(message)

    def closed(self, socket: Socket, code: int) -> None:
        """The connection has ended."""
        if socket is self._socket:
            self._truth.note(f"{self.name:9} is closed with {code}")
            self._socket = None
            if code == 1013:
                self.move()
            if not self._away:
                self._attempt += 1
                self._loop.call_later(self._dice.random() * 0.3, self.connect, context=self._loop.outside)

    @property
    def connected(self) -> bool:
        """Whether it has a connection."""
        return self._socket is not None
