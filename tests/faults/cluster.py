"""One Redis, gateways, a publisher and a crowd of clients: the stage of most scenarios."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from launcher.ports import free_port
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.faults.crowd import Crowd
from tests.faults.processes import HELD, STANDBY, Gateway, Part, Publisher, folder_env, worker
from tests.faults.servers import Server
from tests.faults.watching import Health, get
from tests.waiting import until

PREFIX = "faults"
NAMES = Channels(PREFIX)
FLOW = 40  # live updates that make a steady state: a second of two services at 20 per second

AnyPart = TypeVar("AnyPart", bound=Part)


class Cluster:
    """An async context manager that leaves nothing behind. What processes printed last is shown when a test fails."""

    def __init__(
        self,
        folder: Path,
        gateways: int = 2,
        *,
        services: Sequence[str] = ("market_data", "news"),
        rate: float = 20.0,
        size: int = 200,
        env: Mapping[str, str] | None = None,
        straight: bool = False,
    ) -> None:
        """With `straight` no proxies stand before Redis: they are part of this process, and as late as it is."""
        self.folder = folder
        self.services = tuple(services)
        self.redis = Server(folder / "redis")
        self.env = {"REDIS_PREFIX": PREFIX, **folder_env(folder), **(env or {})}
        self.gateways = [Gateway(f"gateway {number}", self.env) for number in range(gateways)]
        self.publisher = Publisher(services, self.env, rate=rate, size=size)
        self.crowd = Crowd(services)
        self.health = Health(self.gateways)
        self.simulator_url = ""
        self._straight = straight
        self._others: list[Part] = []
        self._clients: list[Any] = []
        self._surprises: list[dict[str, Any]] = []

    async def __aenter__(self) -> Cluster:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._surprises.append(context))
        try:
            await self._start()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _start(self) -> None:
        self.crowd.start()
        self.health.start()
        await self.redis.up()
        for gateway in self.gateways:
            await self._connect(gateway)
            await gateway.door.start()
            await gateway.start()
        for gateway in self.gateways:
            await gateway.ready()

    async def _connect(self, part: Part) -> None:
        if self._straight:
            part.env["REDIS_URL"] = self.redis.url
        else:
            await part.behind(self.redis.url, self.redis.port)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.health.stop()
        parts = (self.publisher, *self._others, *self.gateways)
        if error is not None:
            for part in parts:
                sys.stdout.write(f"--- {part.name}\n{part.tail}\n")
        for client in self._clients:
            await client.aclose()
        try:
            await self.crowd.stop()
        finally:
            for part in parts:
                await part.finish()
            self.redis.end()
        assert error is not None or not self._surprises, self._surprises[:3]

    def also(self, part: AnyPart) -> AnyPart:
        """One more process to end at the end."""
        self._others.append(part)
        return part

    async def begin(self, part: AnyPart) -> AnyPart:
        """The same, started; behind a proxy to Redis, if the others are."""
        await self._connect(self.also(part))
        await part.start()
        return part

    async def publish(self) -> None:
        """Start the publisher, and wait until Redis has confirmed an update of each service."""
        await self._connect(self.publisher)
        await self.publisher.start()
        await self.publisher.flows()

    def client(self, user: str = "") -> Any:
        """A client of Redis as every coinwire process opens it; `user` is another one and its password."""
        url = f"redis://{user}@127.0.0.1:{self.redis.port}/0" if user else self.redis.url
        settings = Settings(_env_file=None, redis_url=url)
        self._clients.append(open_redis(settings))
        return self._clients[-1]

    def bus(self, history: int = 1000, user: str = "") -> Bus:
        """A publisher in this process."""
        return Bus(self.client(user), NAMES, history)

    async def fill(self, services: Sequence[str], count: int = 1000, size: int = 4096, history: int = 1000) -> None:
        """Publish `count` updates of each service, as fast as Redis confirms them."""
        pad = "x" * size

        async def one(service: str) -> None:
            bus = self.bus(history)
            for number in range(1, count + 1):
                await bus.publish(service, {"n": number, "at": time.time(), "pad": pad})

        await asyncio.gather(*(one(service) for service in services))

    async def finish(self, seconds: float = 20.0) -> None:
        """Stop publishing, and wait until everybody has everything."""
        await self.publisher.end(signal.SIGTERM)
        self.publisher.write(self.crowd.book)
        self.positions()
        await self.crowd.at_end(seconds)

    def positions(self) -> dict[str, tuple[str, int]]:
        """The newest position of every service, as Redis has it; noted in the book, too."""
        found = {}
        for service in self.services:
            position = self.redis.position(PREFIX, service)
            if position is not None:
                found[service] = position
                self.crowd.book.note(service, *position)
        return found

    async def workers(self, count: int, category: str = "data_collection", **env: str) -> list[Part]:
        """The simulator and `count` workers of a category; the first leads."""
        port = free_port()
        self.simulator_url = f"http://127.0.0.1:{port}"
        await self.also(Part("simulator", ["simulator", "--port", str(port)], {})).start()

        async def answers() -> bool:
            return (await get(port, "/_simulator/faults"))[0] != 0

        await until(answers, 30)
        own = {**self.env, "SIMULATOR_URL": self.simulator_url, **env}
        made = []
        for number in range(count):
            part = await self.begin(worker(f"worker {number}", category, own))
            await part.logs(STANDBY if number else HELD, 1)
            made.append(part)
        return made


async def lasts(seconds: float) -> None:
    """How long a fault lasts, or for how long something must not happen: never a wait for something to happen."""
    await asyncio.sleep(seconds)
