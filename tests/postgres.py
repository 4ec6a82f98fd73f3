"""One PostgreSQL server per test run, from PATH or from the folder of Debian's packages."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launcher.ports import free_port

_START_SECONDS = 30
_ROOT = 0


class NoPostgresError(Exception):
    """This machine has no PostgreSQL."""


def find_postgres() -> Path:
    """The folder with `initdb`, `pg_ctl` and `postgres`, the newest where there are several. Raises NoPostgresError."""
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True
    )
    for folder in candidates:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise NoPostgresError("no PostgreSQL here: install one (Debian: apt-get install postgresql)")


class PostgresServer:
    """One server on a port of 127.0.0.1, with new databases on request."""

    def __init__(self, folder: Path) -> None:
        """Its data comes into `folder`, which another user must be able to reach. Raises NoPostgresError."""
        self._bin = find_postgres()
        self._home = folder
        self._data = folder / "data"
        self.port = free_port()
        self._emptied: list[str] = []
        # initdb and postgres refuse to run as root; Debian's package makes a user for them.
        self._user = _unprivileged() if os.geteuid() == _ROOT else None

    def start(self) -> PostgresServer:
        """Make its data once, start it, and return when it takes connections."""
        if not self._data.exists():
            self._home.mkdir(parents=True, exist_ok=True)
            if self._user:
                shutil.chown(self._home, self._user)
            self._run(
                "initdb",
                "--pgdata",
                self._data,
                "--auth=trust",
                "--username=coinwire",
                "--no-sync",
                "--locale=C",
                "--encoding=UTF8",
            )
        options = f"-h 127.0.0.1 -p {self.port} -k '' -c fsync=off -c max_connections=60"
        self._run(
            "pg_ctl", "start", "-w", "-t", _START_SECONDS, "-D", self._data, "-l", self._home / "log", "-o", options
        )
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is as a crash would be."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", self._data)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Until the block ends it does not answer, though its port still accepts connections."""
        parent = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        processes = [parent, *map(int, children)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._sql("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    @contextmanager
    def emptied_database(self) -> Iterator[str]:
        """The URL of a database without tables. It is emptied for the next one: that is quicker than to make another.

        Roles keep what they were granted, so tests of rights take a new one.
        """
        url = self._emptied.pop() if self._emptied else self.new_database()
        yield url
        emptying = "SET lock_timeout = '10s'; DROP SCHEMA public CASCADE; CREATE SCHEMA public"
        self._sql(url.rpartition("/")[2], emptying)
        self._emptied.append(url)

    def url(self, database: str) -> str:
        """What DATABASE_URL would be for one of its databases."""
        return f"postgresql://coinwire@127.0.0.1:{self.port}/{database}"

    def _sql(self, database: str, text: str) -> None:
        self._run("psql", "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-c", text, self.url(database))

    def _run(self, program: str, *arguments: object) -> None:
        binary = self._bin / program
        done = subprocess.run(
            [str(binary if binary.exists() else program), *map(str, arguments)],
            user=self._user,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # not a pipe: the server would keep it open
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            log = self._home / "log"
            raise RuntimeError(f"{program} failed: {log.read_text() if log.exists() else done.stderr}")


def _unprivileged() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise NoPostgresError("PostgreSQL does not run as root, and there is no other user here")
