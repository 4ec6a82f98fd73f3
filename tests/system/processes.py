"""Whole clusters as processes: what the system tests start, kill, pause and read."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from launcher.ports import free_port
from launcher.redis_server import RedisServer
from tests.places import ROOT

SEED = ROOT.parent / "shared" / "seed" / "WEBSOCKET_API_DOCUMENTATION.md"

_READY_SECONDS = 30.0  # a cold Python start on a busy machine; a healthy process needs two


class Process:
    """One process of ours; what it prints is kept."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], cwd: Path = ROOT) -> None:
        self.name = name
        self.command = command
        self.env = {**os.environ, "PYTHONUNBUFFERED": "1", **env}
        self.cwd = cwd
        self.lines: list[str] = []
        self._child: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._printed = asyncio.Event()

    async def start(self) -> Process:
        """Start it, with both outputs in `lines`."""
        self._child = await asyncio.create_subprocess_exec(
            *self.command,
            env=self.env,
            cwd=self.cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1 << 24,  # bytes of a line: at debug level, libraries print whole updates
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self._child is not None
        assert self._child.stdout is not None
        async for line in self._child.stdout:
            self.lines.append(line.decode(errors="replace").rstrip())
            self._printed.set()
        self._printed.set()

    @property
    def output(self) -> str:
        """All it printed so far."""
        return "\n".join(self.lines)

    @property
    def child(self) -> asyncio.subprocess.Process:
        """The running process."""
        assert self._child is not None, f"{self.name} was not started"
        return self._child

    async def prints(self, text: str, seconds: float = 30.0) -> None:
        """Wait until it has printed `text`."""
        try:
            async with asyncio.timeout(seconds):
                while text not in self.output:
                    assert self.child.returncode is None, f"{self.name} exited: {self.output}"
                    self._printed.clear()
                    await self._printed.wait()
        except TimeoutError:
            raise AssertionError(f"{self.name} never printed {text!r}:\n{self.output}") from None

    async def end(self, sig: signal.Signals = signal.SIGTERM, seconds: float = 20.0) -> int:
        """Send a signal and wait for the exit status."""
        if self.child.returncode is None:
            self.child.send_signal(sig)
        async with asyncio.timeout(seconds):
            status = await self.child.wait()
        if self._reading is not None:
            await self._reading
        return status


class Cluster:
    """Redis, simulator, one worker per category and two gateways, each a separate process."""

    def __init__(self, folder: Path, prefix: str, categories: Sequence[str] = ("data_collection",)) -> None:
        self.redis = RedisServer(folder / "redis")
        self.simulator_port = free_port()
        self.ports = [free_port(), free_port()]
        self.env = {
            "REDIS_URL": self.redis.url,
            "REDIS_PREFIX": prefix,
            "SIMULATOR_URL": f"http://127.0.0.1:{self.simulator_port}",
            "DELIVERY_DEADLINE": "3",
            "LEASE_SECONDS": "3",
            "DRAIN_SECONDS": "0",
            "LOG_FORMAT": "json",
            "DATABASE_URL": f"sqlite:///{folder}/history.db",
        }
        python = sys.executable
        simulator = [python, "-m", "simulator", "--port", str(self.simulator_port)]
        self.simulator = Process("simulator", simulator, self.env)
        self.gateways = [self.gateway(port) for port in self.ports]
        self.workers = [self.worker(category) for category in categories]

    def gateway(self, port: int) -> Process:
        """A gateway, not started."""
        return Process(f"gateway {port}", [sys.executable, "-m", "gateway"], {**self.env, "PORT": str(port)})

    def worker(self, category: str = "data_collection") -> Process:
        """A worker of a category, not started."""
        return Process(f"worker {category}", [sys.executable, "-m", "workers", category], self.env)

    async def start(self) -> Cluster:
        """Start everything and wait until the gateways are ready."""
        self.redis.start()
        for process in (self.simulator, *self.workers, *self.gateways):
            await process.start()
        for port in self.ports:
            await self.ready(port)
        return self

    async def ready(self, port: int) -> None:
        """Wait until the gateway on `port` is ready."""
        await answers(f"http://127.0.0.1:{port}/health/ready")

    async def stop(self) -> None:
        """End all of it."""
        for process in (*self.gateways, *self.workers, self.simulator):
            if process._child is not None and process.child.returncode is None:
                await process.end(signal.SIGKILL)
        self.redis.stop()

    def ws(self, path: str, gateway: int = 0) -> str:
        """A WebSocket address of one of the gateways."""
        return f"ws://127.0.0.1:{self.ports[gateway]}{path}"

    def http(self, path: str, gateway: int = 0) -> str:
        """An HTTP address of one of the gateways."""
        return f"http://127.0.0.1:{self.ports[gateway]}{path}"

    async def fault(self, host: str, fault: str, **more: object) -> None:
        """Make the simulator answer for `host` with a fault until `mend`."""
        async with httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{self.simulator_port}/_simulator/faults"
            answer = await client.post(url, json={"host": host, "fault": fault, **more})
            assert answer.is_success, answer.text

    async def mend(self) -> None:
        """Remove all faults."""
        async with httpx.AsyncClient() as client:
            await client.delete(f"http://127.0.0.1:{self.simulator_port}/_simulator/faults")


async def answers(url: str, status: int = 200, seconds: float = _READY_SECONDS) -> None:
    """Wait until `url` answers with `status`."""
    last = "nothing"
    async with httpx.AsyncClient() as client:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    try:
                        answer = await client.get(url)
                        last = f"{answer.status_code} {answer.text[:200]}"
                        if answer.status_code == status:
                            return
                    except httpx.TransportError as error:
                        last = type(error).__name__
                    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.05)
        except TimeoutError:
            raise AssertionError(f"{url} did not answer {status}: {last}") from None
