"""A command as a separate process, in a separate folder; tests can wait for its lines."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.places import ROOT


class Command:
    """One `python -m` process. Its output is collected; `line` waits for one."""

    def __init__(self, *arguments: str | Path, **env: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a group of its own: signals reach only it, as those of a terminal do
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                with self._news:
                    self.lines.append(line.rstrip("\n"))
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def output(self) -> str:
        """All that was printed so far."""
        return "\n".join(self.lines)

    def line(self, pattern: str, *, after: int = 0, deadline: float = 45.0) -> re.Match[str]:
        """The first match in the lines from number `after` on, waited for."""

        def found() -> re.Match[str] | None:
            return next(filter(None, (re.search(pattern, line) for line in self.lines[after:])), None)

        with self._news:
            self._news.wait_for(lambda: found() or self._ended, deadline)
            match = found()
        assert match, f"no line matches {pattern!r} in:\n{self.output}"
        return match

    def signal(self, signum: int) -> None:
        """Send a signal to the whole group, as a terminal does for Ctrl-C."""
        os.killpg(self.process.pid, signum)

    def wait(self, deadline: float = 30.0) -> int:
        """Its exit status, waited for."""
        status = self.process.wait(deadline)
        self._reader.join(deadline)
        return status

    def end(self) -> None:
        """End all its processes, also after a failed test."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.wait()


Start = Callable[..., Command]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands, and ends them with the test."""
    commands: list[Command] = []

    def begin(*arguments: str | Path, **env: str) -> Command:
        commands.append(Command(*arguments, **env))
        return commands[-1]

    yield begin
    for command in reversed(commands):
        command.end()


def pids_of(cluster: Command) -> list[int]:
    """The processes that the cluster reports to have started."""
    return [int(pid) for pid in re.findall(r"started \(pid=(\d+)\)", cluster.output)]


def alive(pid: int) -> bool:
    """Whether the process is there and not only waits to be reaped."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
