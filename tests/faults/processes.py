"""The processes of a scenario: gateways, workers, a publisher, a witness. Each may stand behind proxies."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import cpu_seconds, rss_kib
from launcher.ports import free_port
from tests.faults.book import Book
from tests.faults.watching import get
from tests.proxy import Proxy
from tests.system.processes import Process
from tests.waiting import until

HELD = '"state": "held"'
STANDBY = "standing by"


class Part(Process):
    """One process of a scenario, with a line to Redis through a proxy."""

    def __init__(self, name: str, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        super().__init__(name, [sys.executable, "-m", *arguments], env)
        self.line = Proxy(0)
        """What is between it and Redis."""

    async def behind(self, url: str, port: int) -> Part:
        """Start the proxy before Redis on `port`, whose address is `url`."""
        self.line.target = port
        await self.line.start()
        self.env["REDIS_URL"] = self.line.before(url)
        return self

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.child.send_signal(number)

    def logged(self, text: str) -> int:
        """How many of its lines have `text`."""
        return sum(text in line for line in self.lines)

    async def logs(self, text: str, count: int, seconds: float = 60.0) -> None:
        """Wait until `count` of its lines have `text`."""

        def enough() -> bool:
            assert self.runs, self.tail
            return self.logged(text) >= count

        await until(enough, seconds)

    @property
    def tail(self) -> str:
        """Its last lines."""
        return "\n".join(self.lines[-12:])

    @property
    def cpu(self) -> float:
        """Processor time so far, in seconds."""
        return sum(cpu_seconds(self.child.pid))

    @property
    def memory(self) -> float:
        """Resident memory, in MiB."""
        return rss_kib(self.child.pid) / 1024

    async def finish(self) -> None:
        """End it, whatever its state, and its proxies."""
        if self.runs:
            await self.end(signal.SIGKILL)
        if self.line.port:
            await self.line.stop()


class Gateway(Part):
    """A gateway; clients may come through its `door`, a proxy."""

    def __init__(self, name: str, env: Mapping[str, str], *, host: str = "127.0.0.1", port: int | None = None) -> None:
        self.host = host
        self.port = port or free_port()
        self.door = Proxy(self.port)
        super().__init__(name, ["gateway"], {**env, "HOST": host, "PORT": str(self.port)})

    async def status(self, path: str) -> int:
        """The status of one answer; 0 without any."""
        return (await get(self.port, path, self.host))[0]

    async def ready(self, seconds: float = 60.0) -> float:
        """Wait until it is ready. Seconds that took."""
        began = asyncio.get_running_loop().time()

        async def answers() -> bool:
            assert self.runs, self.tail
            return await self.status("/health/ready") == 200

        await until(answers, seconds)
        return asyncio.get_running_loop().time() - began

    async def metric(self, name: str, labels: str = "") -> float:
        """The sum of a metric over the label sets that contain `labels`."""
        _, body = await get(self.port, "/metrics", self.host)
        rows = (line.rpartition(" ") for line in body.splitlines() if line.startswith(name) and labels in line)
        return sum(float(value) for key, _, value in rows if key.partition("{")[0] == name)

    async def finish(self) -> None:
        await super().finish()
        if self.door.port:
            await self.door.stop()


class Publisher(Part):
    """Numbered updates at a steady rate, through the project's own Bus."""

    def __init__(self, services: Sequence[str], env: Mapping[str, str], *, rate: float = 20.0, size: int = 200) -> None:
        arguments = ["tests.faults.publisher", ",".join(services), str(rate), str(size), "0"]
        super().__init__("publisher", arguments, env)
        self.services = tuple(services)
        self._rows: list[dict[str, Any]] = []
        self._seen = 0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One per attempt so far."""
        new, self._seen = self.lines[self._seen :], len(self.lines)
        self._rows += [json.loads(line) for line in new if line.startswith("{")]
        return self._rows

    async def flows(self, seconds: float = 15.0) -> None:
        """Wait until Redis has confirmed an update of each service."""
        await until(lambda: {row["service"] for row in self.rows if row["seq"]} == set(self.services), seconds)

    def write(self, book: Book) -> None:
        """Note what Redis confirmed, and the order of epochs."""
        done = [row for row in self.rows if row["seq"]]
        for row in done:
            book.note(row["service"], row["epoch"], row["seq"], row["n"])
        for service in self.services:
            book.in_order(service, (row["epoch"] for row in done if row["service"] == service))

    def failed(self, after: float) -> list[str]:
        """Why publishes failed, from shortly before that moment on."""
        return [str(row["error"]) for row in self.rows if row["error"] and row["at"] >= after - 1]


class Witness(Part):
    """Clients in a process of their own that tell how late updates are."""

    def __init__(self, port: int, services: Sequence[str]) -> None:
        super().__init__("witness", ["tests.faults.witness", str(port), ",".join(services)], {})

    def late(self, since: float) -> list[float]:
        """Seconds that updates came late after that moment."""
        rows = (json.loads(line) for line in self.lines if line.startswith("["))
        return [late for at, late in rows if at > since]


def worker(name: str, category: str, env: Mapping[str, str]) -> Part:
    """A worker of a category."""
    return Part(name, ["workers", category], env)


def to(*gateways: Gateway, door: bool = False) -> Callable[[int], int]:
    """Where a client connects: these gateways in turn, through their doors or not."""

    def port(attempt: int) -> int:
        gateway = gateways[attempt % len(gateways)]
        return gateway.door.port if door else gateway.port

    return port


def folder_env(folder: Path) -> dict[str, str]:
    """Settings that every process of a scenario has."""
    return {"LOG_FORMAT": "json", "DATABASE_URL": f"sqlite:///{folder}/history.db"}
