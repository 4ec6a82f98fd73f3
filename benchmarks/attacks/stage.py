"""What is attacked, and by whom: a Redis, a publisher and a gateway of our own, as processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from benchmarks.attacks.crowd import Attack, Target
from launcher.ports import free_port
from launcher.redis_server import RedisServer
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings

_PREFIX = "attacks"
_READY = 20.0  # s for a gateway to start on a busy machine
_STOP = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")
_WATCHED = ("market_data", "news")  # the services that attackers ask missed updates of


def end(process: subprocess.Popen[str], patience: float = _STOP) -> None:
    """Terminate one process, and kill it if it does not end."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def expect(process: subprocess.Popen[str], line: str) -> None:
    """Read the next line of a process. Raises RuntimeError if it is another one."""
    assert process.stdout is not None
    found = process.stdout.readline().strip()
    if found != line:
        raise RuntimeError(f"{process.args!r} printed {found!r}, not {line!r}")


class Gateway:
    """One gateway process, and what /proc knows of it."""

    def __init__(self, env: Mapping[str, str], log: Path, files: int | None, command: Sequence[str]) -> None:
        self.port = int(env["PORT"])
        self._log = log

        def limit() -> None:
            if files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, env=env, stdout=output, stderr=output, text=True, process_group=0, preexec_fn=limit
            )

    def wait_until_ready(self) -> None:
        """Raises RuntimeError if it does not get ready."""
        deadline = time.monotonic() + _READY
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=2):
                    return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        raise RuntimeError(f"the gateway is not ready:\n{self._log.read_text()}")

    def _status(self, name: str) -> int:
        if self.process.poll() is not None:
            return 0
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.partition(f"{name}:")[2].split()[0])

    @property
    def memory(self) -> float:
        """Resident memory now, in MiB."""
        return self._status("VmRSS") / 1024

    @property
    def peak(self) -> float:
        """The most resident memory it ever had, in MiB."""
        return self._status("VmHWM") / 1024

    @property
    def cpu(self) -> float:
        """Seconds of processor time."""
        if self.process.poll() is not None:
            return 0.0
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def delayed(self) -> float:
        """Seconds that it was ready to run while the processors were busy with others."""
        if self.process.poll() is not None:
            return 0.0
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[1]) / 1e9

    @property
    def log(self) -> list[str]:
        """The events that it has logged; of a traceback, its lines."""
        events = []
        for line in self._log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                line = str(json.loads(line)["event"])
            events.append(line)
        return events


class Stage:
    """Starts the processes; ends those that are left when the block ends."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "gateway")) -> None:
        self._command = command
        self._folder = tempfile.TemporaryDirectory(prefix="coinwire-attacks-")
        self._redis = RedisServer(Path(self._folder.name, "redis"))
        self._running: list[subprocess.Popen[str]] = []
        self._count = 0

    def __enter__(self) -> Self:
        self._redis.start()
        publisher = self._start("publisher", stdout=subprocess.PIPE)
        expect(publisher, "filled")
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            end(process)
        self._redis.stop()
        self._folder.cleanup()

    def gateway(self, attack: Attack) -> Gateway:
        """A new gateway that is ready."""
        self._count += 1
        env = self._env() | {
            "PORT": str(free_port()),
            "DRAIN_SECONDS": "0",
            "LOG_FORMAT": "json",
            "DATABASE_URL": f"sqlite:///{self._folder.name}/{self._count}.db",
            **attack.env,
        }
        gateway = Gateway(env, Path(self._folder.name, f"{self._count}.log"), attack.files, self._command)
        self._running.append(gateway.process)
        gateway.wait_until_ready()
        return gateway

    def watcher(self, gateway: Gateway) -> subprocess.Popen[str]:
        """The innocent, once it receives updates."""
        process = self._start("watcher", str(gateway.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        expect(process, "watching")
        return process

    def attackers(self, attack: Attack, gateway: Gateway) -> list[subprocess.Popen[str]]:
        """The crowds; they attack at once."""
        target = json.dumps(asdict(Target(gateway.port, attack.seconds, asyncio.run(self._positions()))))
        return [self._start("attacker", attack.name, target, stdout=subprocess.PIPE) for _ in range(attack.processes)]

    def end(self, process: subprocess.Popen[str]) -> None:
        """End one of the processes."""
        end(process)
        self._running.remove(process)

    def _start(self, module: str, *arguments: str, **pipes: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"benchmarks.attacks.{module}", *arguments],
            env=self._env(),
            text=True,
            process_group=0,  # Ctrl-C reaches the meter alone, which ends the others
            **pipes,
        )
        self._running.append(process)
        return process

    def _env(self) -> dict[str, str]:
        return {**os.environ, "REDIS_URL": self._redis.url, "REDIS_PREFIX": _PREFIX}

    async def _positions(self) -> dict[str, tuple[str, int]]:
        settings = Settings(_env_file=None, redis_url=SecretStr(self._redis.url), redis_prefix=_PREFIX)  # type: ignore[call-arg]
        redis = open_redis(settings)
        bus = Bus(redis, Channels(_PREFIX), settings.history_length)
        try:
            newest = {service: await bus.newest(service) for service in _WATCHED}
        finally:
            await redis.aclose()
        return {service: (each.epoch, each.seq) for service, each in newest.items() if each is not None}
