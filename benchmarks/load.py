"""The load client: a running wsload."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import BenchmarkError, end, on_core
from benchmarks.publisher import Progress

_SETTLE_SECONDS = 1.0  # between the last connection and the first message
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where a mapped file is never written to a disk


@dataclass(frozen=True, slots=True)
class Group:
    """Clients that do the same: connections take the groups in turn."""

    path: str
    sends: tuple[str, ...] = ()
    """Text frames, sent once connected."""
    services: frozenset[str] | None = None
    """The services of which they then receive updates; None for all that are published."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How clients of a gateway speak."""

    groups: tuple[Group, ...] = (Group("/ws"),)
    wait_for: str = ""
    """A connection is live after a frame that contains this text."""
    reply: str = ""
    """`IN=OUT`: a ping of the application and its answer."""
    several: bool = False
    """Whether several messages may share one frame."""
    deflate: bool = False
    """Whether clients offer permessage-deflate. Their messages are then only counted."""

    def arguments(self) -> list[str]:
        """What wsload is told about it."""
        found = []
        for group in self.groups:
            found += ["-u", group.path]
            for text in group.sends:
                found += ["-s", text]
        if self.deflate:
            return [*found, "-z"]  # a confirmation may be compressed, so there is nothing to wait for
        found += ["-a", self.wait_for] if self.wait_for else []
        found += ["-r", self.reply] if self.reply else []
        return [*found, "-m"] if self.several else found


class Load:
    """Clients of one gateway, in one process."""

    def __init__(
        self,
        program: Path,
        dialect: Dialect,
        port: int,
        *,
        clients: int,
        at_once: int,
        core: int,
        retry: bool = False,
        settle: float = _SETTLE_SECONDS,
    ) -> None:
        """Start to connect, `at_once` handshakes at a time, with `retry` again where one failed.

        Clients are ready `settle` seconds after the last one.
        """
        descriptor, name = tempfile.mkstemp(dir=_SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None)
        os.close(descriptor)
        self._progress = Path(name)
        options = ("-n", clients, "-i", at_once, "-w", settle, "-p", name)
        command = [
            str(program),
            *map(str, options),
            *(["-R"] if retry else []),
            *dialect.arguments(),
            f"127.0.0.1:{port}",
        ]
        with on_core(core):
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ready(self) -> dict[str, Any]:
        """How many are connected, once all are: `established`, `failed`, `gone`, `connect_s`."""
        return self._json(self._line().removeprefix("READY "))

    def count(self, expected: int, idle: float, numbers: Sequence[int]) -> Progress:
        """Count `expected` deliveries of messages with `numbers`, or until none came for `idle` seconds."""
        if self._process.stdin is None:
            raise BenchmarkError("wsload has no standard input")
        self._process.stdin.write(f"count {expected} {idle} {numbers[0]} {len(numbers)}\n".encode())
        self._process.stdin.flush()
        if self._line() != "COUNTING\n":
            raise BenchmarkError("wsload does not count")
        return Progress(self._progress)

    def result(self) -> dict[str, Any]:
        """What was counted, once that is over."""
        return self._json(self._line())

    def close(self) -> None:
        """End the process, and with it the connections."""
        end(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._progress.unlink(missing_ok=True)

    def _line(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout is not None else b""
        if not line:
            raise BenchmarkError("wsload ended")
        return line.decode()

    @staticmethod
    def _json(line: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(line)
        return found
