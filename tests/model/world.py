"""A cluster of the model, and the faults that can happen to it."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.catalog import SYSTEM
from shared.channels import Channels
from shared.metrics import BusMetrics, GatewayMetrics, open_registry
from shared.settings import Settings
from tests.model.client import SILENCE, Client
from tests.model.gateway import Gateway
from tests.model.loop import VirtualLoop
from tests.model.network import Network
from tests.model.publisher import Publisher
from tests.model.scripts import Scripts
from tests.model.server import Server
from tests.model.truth import Broken, Truth

SERVICES = ("market_data", "whale_tracking", SYSTEM)
"""A state, one with events, and the one that several workers publish without a fence."""

LEASE = "data_collection"

HEALED = 20.0
"""Seconds after the last fault is healed until every client has the newest update."""
PUBLISHED = 20.0
"""Seconds after that until every service is published again: a worker may try several connections that are dead."""
LIVE = 5.0
"""Seconds until every client has the newest of what is published then."""


@dataclass(frozen=True)
class Shape:
    """How large a cluster is, and what its clients asked for."""

    gateways: int
    publishers: int
    leases: bool
    history: int
    outbox: int
    clients: tuple[tuple[bool, str | None], ...]
    """Of each client: whether it sees positions, and how it wants to be delivered to."""


class Shared:
    """What all schedules of a process share because it takes long to make."""

    def __init__(self) -> None:
        registry = open_registry()
        self.scripts = Scripts()
        self.metrics = BusMetrics(registry), GatewayMetrics(registry)
        self._settings: dict[tuple[int, int], Settings] = {}

    def settings(self, history: int, outbox: int) -> Settings:
        """Settings for a cluster."""
        key = history, outbox
        if key not in self._settings:
            self._settings[key] = Settings(
                _env_file=None,
                redis_url="redis://redis:6379/0",
                history_length=history,
                history_bytes=0 if history < 30 else 100_000,  # the longest history grows with bursts
                outbox_messages=outbox,
            )
        return self._settings[key]


class World:
    """A cluster that runs."""

    def __init__(self, shared: Shared, shape: Shape, dice: random.Random) -> None:
        self.shape = shape
        self.loop = VirtualLoop(dice)
        self.dice = dice
        settings = shared.settings(shape.history, shape.outbox)
        self.truth = Truth(self.loop, Channels(settings.redis_prefix))
        self.network = Network(self.loop, dice, lambda _host: self.server)
        self._shared = shared
        self._faults_until = 0.0
        self._run_ids = (f"{n:040x}" for n in itertools.count(1))
        self.server = Server(self.loop, shared.scripts, next(self._run_ids), self.truth)
        numbers = itertools.count(1)
        self.gateways = [
            Gateway(self.loop, dice, f"gateway{n}", SERVICES, settings, shared.metrics) for n in range(shape.gateways)
        ]
        self.publishers = [
            Publisher(self.loop, dice, self.truth, f"worker{n}", settings, numbers, LEASE if shape.leases else None)
            for n in range(shape.publishers)
        ]
        self.clients = [
            Client(
                self.loop,
                dice,
                self.truth,
                f"client{n}",
                self.gateways,
                SERVICES,
                history=shape.history,
                meta=meta,
                deliver=deliver,
            )
            for n, (meta, deliver) in enumerate(shape.clients)
        ]

    # What happens in it. Every fault ends by itself.

    def publish(self, number: int, service: str, count: int) -> None:
        """Publish some updates: of `system` by one worker, of other services by whoever leads."""
        for _ in range(count):
            for publisher in self._who(number, service):
                publisher.publish(service)

    def _who(self, number: int, service: str) -> list[Publisher]:
        if service == SYSTEM:
            return [self.publishers[number % len(self.publishers)]]
        if self.shape.leases:
            return self.publishers
        return [self.publishers[SERVICES.index(service) % len(self.publishers)]]

    def cut(self, name: str, answers_only: bool) -> None:
        """Reset the connections of a process to Redis."""
        self.network.link(name).cut(answers_only=answers_only)

    def hold(self, name: str, seconds: float) -> None:
        """A black hole between a process and Redis."""
        self._for(seconds, self.network.link(name).hold, self.network.link(name).heal)

    def deaden(self, name: str) -> None:
        """A NAT forgets the connections of a process."""
        self.network.link(name).deaden()

    def slow(self, name: str, delay: float, seconds: float) -> None:
        """Everything between a process and Redis takes longer."""
        link = self.network.link(name)
        link.slow = delay
        self._later(seconds, link.heal)

    def pause(self, name: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later."""
        process = self._process(name).process
        self._for(seconds, process.pause, process.resume)

    def kill(self, name: str, seconds: float) -> None:
        """SIGKILL, and a start some time later."""
        target = self._process(name)
        if target.process.alive:
            target.kill()
            for wire in tuple(self.network.link(name).wires):
                wire.reset(arrives=True)
            self._later(seconds, target.start)

    def stop(self, name: str, seconds: float) -> None:
        """SIGTERM of a worker, and a start some time later."""
        target = self._process(name)
        if target.process.alive:
            target.process.stop()
            self._later(seconds, self._start_again, target, target.process)

    def _start_again(self, target: Any, stopped: Any) -> None:
        if target.process is stopped and stopped.alive:
            target.kill()
            target.start()

    def restart(self, lost: int, seconds: float) -> None:
        """Redis dies, and comes back without its last writes."""
        server = self.server
        if server.up:
            server.up = False
            self.network.reset(server)
            self._later(seconds, self._restart, server, lost)

    def _restart(self, server: Server, lost: int) -> None:
        if self.server is server and not server.up:
            self._lose(server.restart(next(self._run_ids), lost))

    def failover(self, lag: int, skew: float, seconds: float) -> None:
        """The primary dies; a replica that lacks its last writes, and whose clock differs, takes its place."""
        old = self.server
        if not old.up:
            return
        new = self._replica(lag, skew)
        old.up = new.up = False
        self.network.reset(old)
        self.server = new
        self._later(seconds, self._promote, new)

    def _replica(self, lag: int, skew: float) -> Server:
        new = Server(self.loop, self._shared.scripts, next(self._run_ids), self.truth)
        new.writes = self.server.writes[: max(1, len(self.server.writes) - lag)]
        new.skew = skew
        return new

    def demote(self, lag: int, skew: float, seconds: float) -> None:
        """A replica that lacks the last writes is promoted; the old primary keeps its connections for a while."""
        old = self.server
        if not old.up:
            return
        new = self.server = self._replica(lag, skew)
        old.replica = True
        self._lose(new.restart(new.run_id, 0))
        self._later(seconds, self.network.reset, old)

    def _promote(self, new: Server) -> None:
        if self.server is new and not new.up:
            self._lose(new.restart(new.run_id, 0))

    def flush(self) -> None:
        """FLUSHALL."""
        server = self.server
        if server.up:
            server.data, server.expiries = {}, {}
            server.writes = [type(server.writes[0])(server.writing, {}, {})]
            self._lose(-1)

    def freeze(self, seconds: float) -> None:
        """Redis hangs."""
        server = self.server

        def go_on() -> None:
            server.frozen = False
            for wire in tuple(self.network.wires):
                wire.pump()

        server.frozen = True
        self._later(seconds, go_on)

    def kill_subscribers(self) -> None:
        """Redis drops its subscribers, as it does when they read too slowly."""
        for session in tuple(self.server.sessions):
            if session.channels:
                session.wire.reset()

    def deliver(self, copies: tuple[int, ...]) -> None:
        """The next messages reach their subscribers so often."""
        self.server.copies = list(copies)

    def forget_scripts(self) -> None:
        """SCRIPT FLUSH."""
        self.server.forget_scripts()

    def client(self, number: int, action: str, seconds: float) -> None:
        """Something happens to a client."""
        client = self.clients[number % len(self.clients)]
        lasts = SILENCE if action == "hole" else seconds
        self._faults_until = max(self._faults_until, self.loop.now + lasts)
        if action == "leave":
            client.leave(seconds)
        elif action == "slow":
            client.stop_reading(seconds)
        elif action == "hole":
            client.hole()
        else:
            if action == "move":
                client.move()
            client.cut()

    def _lose(self, left: int) -> None:
        self.truth.note(f"redis     is back; what it wrote after {left} is lost")
        self.truth.lose(left)

    def _process(self, name: str) -> Any:
        return next(each for each in (*self.gateways, *self.publishers) if each.name == name)

    def _for(self, seconds: float, begin: Callable[[], None], end: Callable[[], None]) -> None:
        begin()
        self._later(seconds, end)

    def _later(self, seconds: float, function: Callable[..., Any], *args: Any) -> None:
        self._faults_until = max(self._faults_until, self.loop.now + seconds)
        self.loop.call_later(seconds, function, *args, context=self.loop.outside)

    # The end of it.

    def check(self) -> None:
        """Raise Broken for what callbacks and tasks raised."""
        if self.loop.fault is not None:
            raise self.loop.fault
        for each in (*self.gateways, *self.publishers):
            died = each.process.died
            if isinstance(died, Broken):
                raise died
            if died is not None:
                raise Broken(f"{each.name} died of {died!r}") from died

    def behind(self, *, published: bool) -> list[str]:
        """Who lacks the newest update of what; who is not connected, and whether nobody leads.

        Unless something was `published` since the faults, a client may be without the newest if its own update seems to
        be of a later epoch: the clock of another server was behind.
        """
        found = [f"{client.name} is not connected" for client in self.clients if not client.connected]
        if not any(publisher.leads for publisher in self.publishers):
            found.append("nobody leads")
        for service in SERVICES:
            newest = (self.truth.newest.get(service) or [None])[-1]
            for client in self.clients:
                last = client.views[service].last
                if newest is None or (last is not None and (last.order >= newest.order or last.n == newest.n)):
                    continue
                if published or last is None or last.position.epoch <= newest.position.epoch:
                    has = "nothing" if last is None else self.truth.name(last)
                    found.append(f"{client.name} has {has}, not {self.truth.name(newest)}")
        return found

    async def settle(self, *, patient: bool) -> None:
        """After all faults: everybody gets the newest, and everything is live again. Raises Broken.

        If `patient`, the whole time is waited for, as something may still go wrong after everything looks well.
        """
        await asyncio.sleep(max(0.0, self._faults_until - self.loop.now))
        self.server.copies.clear()
        self.truth.note("--------- everything is healed")
        found = await self._wait(HEALED, partial(self.behind, published=False), patient=patient)
        if found:
            raise Broken(f"{HEALED:g} s after everything was healed: {'; '.join(found)}")
        before = {service: self.truth.count(service) for service in SERVICES}

        def unpublished() -> list[str]:
            return [
                f"{service} can't be published" for service in SERVICES if self.truth.count(service) == before[service]
            ]

        for _ in range(int(PUBLISHED)):  # a worker that fails tries again
            for number in range(len(self.publishers)):
                for service in SERVICES:
                    self.publish(number, service, 1)
            await asyncio.sleep(1.0)
            if not unpublished():
                break
        if found := unpublished():
            raise Broken(f"{PUBLISHED:g} s after everything was healed: {'; '.join(found)}")
        if found := await self._wait(LIVE, partial(self.behind, published=True), patient=patient):
            raise Broken(f"{LIVE:g} s after it was published: {'; '.join(found)}")

    async def _wait(self, seconds: float, what: Callable[[], list[str]], *, patient: bool) -> list[str]:
        end = self.loop.now + seconds
        while self.loop.now < end and (patient or what()):
            await asyncio.sleep(0.25)
            self.check()
        return what()

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine as the world's own, to its end. Raises Broken or Stuck."""
        task = self.loop.create_task(story, context=self.loop.outside)
        try:
            self.loop.run_until_complete(task)
        finally:
            task.cancel()
            self._tidy()

    def _tidy(self) -> None:
        """End everything, so that nothing of one schedule is left for the next."""
        while sum(process.end() for process in self.loop.processes):
            self.loop.run_until_complete(asyncio.sleep(0.1))
        for process in self.loop.processes:
            self.loop.run_until_complete(process.close())
        self.loop.run_until_complete(asyncio.sleep(0.1))
        self.loop.close()
