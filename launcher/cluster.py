"""Cluster: several processes run as one. It starts them, prefixes their output, and stops all when one ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from launcher.redis import exit_reason

STOP_SECONDS = 5.0
"""Seconds that a part has to stop before it is killed: a gateway without load needs less than one."""

_OWN = "system"  # the prefix of the cluster's own lines
_COLOURS = ("36", "33", "32", "35", "31", "34", "36;1", "33;1", "32;1", "35;1", "31;1", "34;1")  # ANSI, in turn
_LAST_OUTPUT_SECONDS = 1.0  # s to wait for an ended part's last output: its children may hold the pipe
_LONGEST_LINE = 65536  # bytes without a line break that are held back; then they are printed as a line of their own


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the cluster."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stops_last: bool = False
    """Whether it is stopped only after the others have ended, because they need it until then."""


def wants_colour(output: TextIO) -> bool:
    """Whether to colour `output`: yes for a terminal unless NO_COLOR is set; always with FORCE_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or output.isatty()


class Lines:
    """Prints lines, each prefixed with the part that it comes from."""

    def __init__(self, names: Sequence[str], output: TextIO) -> None:
        self._output = output
        self._width = max(map(len, (*names, _OWN)))
        self._colours = dict(zip(names, itertools.cycle(_COLOURS), strict=False)) if wants_colour(output) else {}
        self.closed = False
        """Whether the output is gone: its terminal or the program it was piped into was closed."""

    def write(self, name: str, text: str) -> None:
        """Print one line of the part `name`."""
        # No time in the prefix: most lines are logs and begin with their own, in UTC.
        prefix = f"{name.ljust(self._width)} | "
        if name in self._colours:
            prefix = f"\033[{self._colours[name]}m{prefix}\033[0m"
        try:
            print(prefix + text, file=self._output, flush=True)
        except OSError:
            if not self.closed:
                self.closed = True
                # Discard what is still buffered: flushing it when Python ends would fail again, with status 120.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._output.fileno())


class Cluster:
    """The parts, from start to end. SIGINT, SIGTERM and SIGHUP stop all of them; so does the end of any.

    A second signal kills what still runs.
    """

    def __init__(self, parts: Sequence[Part], output: TextIO | None = None) -> None:
        self._parts = parts
        self._lines = Lines([part.name for part in parts], output or sys.stdout)
        self._running: dict[str, tuple[Process, asyncio.Task[None]]] = {}
        """By part: its process and the task that reads its output and awaits its end. In the order of their start."""
        self._last_line: dict[str, str] = {}
        self._stopping = asyncio.Event()
        self.died: tuple[str, int] | None = None
        """The part that ended without being asked to, and its exit status; negative for a signal."""

    def run(self) -> int:
        """Run until told to stop (returns 0) or until a part ends by itself (returns 1)."""
        asyncio.run(self._run())
        if self.died is None:
            return 0
        name, status = self.died
        last = self._last_line.get(name)
        detail = f"; its last line: {last}" if last else ""
        print(f"coinwire: {name} ended by itself ({exit_reason(status)}){detail}", file=sys.stderr, flush=True)
        return 1

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(signum, self._on_signal)
        try:
            for part in self._parts:
                if self._stopping.is_set():
                    break
                await self._start(part)
            await self._stopping.wait()
            last = {part.name for part in self._parts if part.stops_last}
            await self._stop([name for name in self._running if name not in last])
            await self._stop([name for name in self._running if name in last])
        finally:
            self._kill(self._running)

    async def _start(self, part: Part) -> None:
        # Not asyncio's own pipe: with that, `wait` returns only when the part's children have closed it too.
        output, stdout = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *part.command,
                env={**os.environ, **part.env},
                stdin=DEVNULL,
                stdout=stdout,
                stderr=STDOUT,
                # A group of its own: Ctrl-C in the terminal reaches the cluster alone, which then stops parts in order.
                start_new_session=True,
            )
        finally:
            os.close(stdout)
        self._say(f"{part.name} started (pid={process.pid})")
        follower = asyncio.create_task(self._follow(part.name, process, output), name=part.name)
        self._running[part.name] = process, follower

    async def _follow(self, name: str, process: Process, output: int) -> None:
        """Print what comes from the pipe `output` until the part has ended."""
        printing = asyncio.create_task(self._print(name, output))
        try:
            status = await process.wait()
            _signal_group(process, signal.SIGTERM)  # processes that a killed part has left behind
            await asyncio.wait({printing}, timeout=_LAST_OUTPUT_SECONDS)
            if not self._stopping.is_set():
                self.died = name, status
            reason = "" if status in (0, -signal.SIGTERM) else f": {exit_reason(status)}"
            self._say(f"{name} stopped{reason}")
        finally:
            printing.cancel()
            self._stopping.set()

    async def _print(self, name: str, output: int) -> None:
        reader, rest = asyncio.StreamReader(), b""
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(output, "rb"))
        with contextlib.closing(transport):
            while chunk := await reader.read(_LONGEST_LINE):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONGEST_LINE:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._print_line(name, line)
        if rest:
            self._print_line(name, rest)

    def _print_line(self, name: str, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r")
        if text.strip():
            self._last_line[name] = text.strip()
        self._lines.write(name, text)
        if self._lines.closed:
            self._stopping.set()

    async def _stop(self, names: Sequence[str]) -> None:
        """Send SIGTERM to these parts and return once all have ended; kill those that take too long."""
        running = {name: self._running[name] for name in names if not self._running[name][1].done()}
        for process, _ in running.values():
            _signal_group(process, signal.SIGTERM)
        followers = [follower for _, follower in running.values()]
        if not followers:
            return
        await asyncio.wait(followers, timeout=STOP_SECONDS)
        self._kill(name for name, (_, follower) in running.items() if not follower.done())
        await asyncio.gather(*followers)

    def _kill(self, names: Iterable[str]) -> None:
        for name in names:
            process, _ = self._running[name]
            if process.returncode is None:
                self._say(f"killing {name}")
                _signal_group(process, signal.SIGKILL)

    def _on_signal(self) -> None:
        if self._stopping.is_set():
            self._kill(self._running)
        else:
            self._stopping.set()
            self._say("stopping; Ctrl-C again kills what still runs")

    def _say(self, text: str) -> None:
        self._lines.write(_OWN, text)


def _signal_group(process: Process, signum: signal.Signals) -> None:
    """Send a signal to a part and to the processes that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signum)
