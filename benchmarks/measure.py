"""One run: start a gateway on its own core, connect clients, publish, and count what it cost."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gateways import Gateway, returning
from benchmarks.install import Installed
from benchmarks.load import Load
from benchmarks.payloads import Data, padded
from benchmarks.processes import busy_seconds, cpu_seconds, end, rss_kib, spawn, wait_for_port
from benchmarks.publisher import Pace, Published, Publisher
from benchmarks.results import Row
from launcher.ports import free_port
from launcher.redis_server import RedisServer

_WARM_UP = 20  # messages before the measured ones
_PROBES = 10  # attempts until a message reaches everybody: the gateway may subscribe late
_PAUSE = 1.0  # s for a gateway to finish its start, and between the phases of a run
_AGAIN = 5  # messages after a loss: does the gateway still deliver?


@dataclass(frozen=True, slots=True)
class Trial:
    """What one run does. Without messages, clients only connect."""

    gateway: Gateway
    clients: int
    messages: int = 0
    pace: Pace = field(default_factory=Pace)
    payloads: Callable[[], Iterator[Data]] = lambda: padded(512)
    at_once: int = 100
    """Handshakes in flight."""
    retry: bool = False
    """Whether clients connect again where a handshake failed."""
    missed: int = 0
    """Updates that were published before, and that clients of our gateway ask for."""
    idle: float = 3.0
    """Seconds without a delivery after which the rest counts as lost."""


class Bench:
    """What all runs share: programs, cores, a Redis, and a log of what the gateways print."""

    def __init__(self, installed: Installed, server: RedisServer, cores: tuple[int, int], log: Path) -> None:
        self._installed = installed
        self._server = server
        self._core, self._other_core = cores
        self._log = log

    def run(self, trial: Trial) -> Row:
        """Measure. Raises BenchmarkError where that fails."""
        gateway = trial.gateway
        publisher = Publisher(self._server, gateway.channels, gateway.encode(), gateway.history)
        try:
            if trial.missed:
                publisher.publish(2 * trial.missed, trial.payloads(), Pace(through_bus=True), int, 0)
                newest = publisher.newest()
                gateway = returning(newest.epoch, newest.seq - trial.missed)
            with tempfile.TemporaryDirectory() as folder, self._log.open("ab") as log:
                port = free_port()
                env = self._env(gateway, port, Path(folder))
                command = [str(part).format_map(env) for part in gateway.command(self._installed)]
                process = spawn(command, self._core, env=env, folder=Path(folder), log=log)
                try:
                    wait_for_port(port, process)
                    time.sleep(_PAUSE)
                    return _Run(self, trial, gateway, publisher, process.pid).measure(port)
                finally:
                    end(process)
        finally:
            publisher.close()

    def load(self, trial: Trial, gateway: Gateway, port: int) -> Load:
        """Clients that connect to `port`."""
        return Load(
            self._installed.wsload,
            gateway.dialect,
            port,
            clients=trial.clients,
            at_once=trial.at_once,
            core=self._other_core,
            retry=trial.retry,
        )

    def busy(self) -> tuple[float, float]:
        """Seconds that both cores have worked."""
        return busy_seconds(self._core), busy_seconds(self._other_core)

    def _env(self, gateway: Gateway, port: int, folder: Path) -> Mapping[str, str]:
        """Nothing of the caller's environment but what programs need to be found: a setting in it would count too."""
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        env |= {
            "PORT": str(port),
            "FOLDER": str(folder),
            "REDIS_URL": self._server.url,
            "REDIS_PORT": str(self._server.port),
            "REDIS_PASSWORD": self._server.password,
            "CHANNEL": gateway.channels[0][1],
            "NODE_PATH": str(self._installed.node_modules),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return env | {name: value.format_map(env) for name, value in gateway.env.items()}


class _Run:
    """A gateway that runs, from its first client to the last count."""

    def __init__(self, bench: Bench, trial: Trial, gateway: Gateway, publisher: Publisher, pid: int) -> None:
        self._bench = bench
        self._trial = trial
        self._gateway = gateway
        self._publisher = publisher
        self._pid = pid
        self._payloads = trial.payloads()

    def measure(self, port: int) -> Row:
        before, rss = sum(cpu_seconds(self._pid)), rss_kib(self._pid)
        load = self._bench.load(self._trial, self._gateway, port)
        try:
            row = load.ready()
            connecting, connected = sum(cpu_seconds(self._pid)) - before, rss_kib(self._pid)
            row |= {
                "connect_cpu_s": connecting,
                "connect_cpu_ms": connecting / self._trial.clients * 1e3,
                "rss_before_kib": rss,
                "rss_connected_kib": connected,
                "kib_per_connection": (connected - rss) / max(1, row["established"]),
            }
            return row | (self._deliver(load) if self._trial.messages else {})
        finally:
            load.close()

    def _deliver(self, load: Load) -> Row:
        """Probe, warm up, then measure."""
        pace = self._trial.pace
        plain = Pace(
            in_flight=pace.in_flight or 1, through_bus=pace.through_bus
        )  # one epoch from the first to the last
        for _ in range(_PROBES):
            if self._publish(load, len(self._gateway.channels), plain)[1]["lost"] == 0:
                break
        warm = self._publish(load, _WARM_UP, plain)[1]
        time.sleep(_PAUSE)
        cpu, cores, began = cpu_seconds(self._pid), self._bench.busy(), time.monotonic()
        published, row = self._publish(load, self._trial.messages, pace)
        user, system = (after - before for after, before in zip(cpu_seconds(self._pid), cpu, strict=True))
        busy = [after - before for after, before in zip(self._bench.busy(), cores, strict=True)]
        wall = time.monotonic() - began
        deliveries, seconds = max(1, row["messages"]), max(1e-9, (row["last_ns"] - published.start_ns) / 1e9)
        row |= {
            "user_us": user / deliveries * 1e6,
            "system_us": system / deliveries * 1e6,
            "cpu_us": (user + system) / deliveries * 1e6,
            "bytes_per_delivery": row["bytes"] / deliveries,
            "deliveries_per_s": row["messages"] / seconds,
            "gateway_busy": (user + system) / seconds,
            "others_busy": max(0.0, busy[0] - user - system) / wall,
            "clients_busy": busy[1] / wall,
            "warm_up_lost": warm["lost"],
            "stalls": published.stalls,
            "rss_after_kib": rss_kib(self._pid),
        }
        if row["lost"]:
            time.sleep(_PAUSE + self._trial.idle)
            again = self._publish(load, _AGAIN, plain)[1]
            row["delivers_again"] = again["messages"] / (again["messages"] + again["lost"])
        return row

    def _publish(self, load: Load, count: int, pace: Pace) -> tuple[Published, Row]:
        """Publish `count` messages, and wait until they have arrived or are lost."""
        expected = self._expected(count)
        first = self._publisher.next_number
        delivered = load.count(expected, self._trial.idle, range(first, first + count))
        published = self._publisher.publish(count, self._payloads, pace, delivered, expected / count)
        row = load.result()
        return published, row | {"lost": expected - row["messages"]}

    def _expected(self, count: int) -> int:
        """Deliveries of `count` messages, which go to the channels in turn."""
        groups, services = self._gateway.dialect.groups, [service for service, _ in self._gateway.channels]
        total = 0
        for index, group in enumerate(groups):
            clients = len(range(index, self._trial.clients, len(groups)))
            messages = (services[number % len(services)] for number in range(count))
            total += clients * sum(group.services is None or service in group.services for service in messages)
        return total
