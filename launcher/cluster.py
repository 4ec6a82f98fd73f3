"""Cluster: several processes run as one. honcho starts, prefixes and reaps them; this adds how they stop."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, TextIO

from honcho.manager import SYSTEM_PRINTER_NAME, Manager
from honcho.printer import Message, Printer

from launcher.redis import exit_reason

_STATUS = re.compile(r" \(rc=(-?\d+)\)")


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the cluster."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stops_last: bool = False
    """Whether it is stopped only when the others have gone: what they still need to say goodbye."""


def wants_colour(output: TextIO) -> bool:
    """Whether to colour what goes to `output`: a terminal, unless NO_COLOR; anything, with FORCE_COLOR."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or output.isatty()


class Lines(Printer):  # type: ignore[misc]  # honcho has no types
    """Writes the parts' output line by line, and remembers the last line of each: why it died, if it dies."""

    def __init__(self, output: TextIO) -> None:
        super().__init__(output)
        self._colours_supported = wants_colour(output)
        self.last: dict[str, str] = {}
        self.closed = False
        """Whether the output is gone: a closed terminal, a `head` that had enough."""

    def write(self, message: Any) -> None:
        """Print one message of honcho's; what it says of its own signals is noise and left out."""
        text = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        if message.name == SYSTEM_PRINTER_NAME:
            if text.startswith("sending SIGTERM"):
                return
            text = _STATUS.sub(_said, text)
        elif text.strip():
            self.last[message.name] = text.strip()
        # No time in the prefix, unlike honcho's: most lines are logs and begin with their own, in UTC.
        prefix = f"{message.name.ljust(self.width)} | "
        if self._colours_supported and message.colour:
            prefix = f"\033[{message.colour}m{prefix}\033[0m"
        try:
            for line in text.splitlines():
                print(prefix + line, file=self.output, flush=True)
        except OSError:
            if not self.closed:
                self.closed = True
                # What is still buffered has nowhere to go: it would fail once more when Python ends, with status 120.
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.output.fileno())


def _said(match: re.Match[str]) -> str:
    status = int(match[1])
    return "" if status in (0, -signal.SIGTERM) else f": {exit_reason(status)}"


class Cluster(Manager):  # type: ignore[misc]  # honcho has no types
    """The parts, from start to end. SIGINT, SIGTERM and SIGHUP stop all of them; so does the death of any."""

    def __init__(self, parts: Sequence[Part], output: TextIO = sys.stdout) -> None:
        self._lines = Lines(output)
        super().__init__(self._lines)
        self._last = frozenset(part.name for part in parts if part.stops_last)
        self._asked = 0
        self._terminating = False
        self._last_told = False
        self._killed = False
        self.died: tuple[str, int] | None = None
        """Who ended without being asked to, and with which status."""
        for part in parts:
            # exec: the pid is the part's own, and no shell stands between it and its signals
            self.add_process(part.name, f"exec {shlex.join(part.command)}", env={**os.environ, **part.env})

    def run(self) -> int:
        """Run until told to stop (0) or until a part ends by itself (1)."""
        try:
            self.loop()
        finally:
            self._kill_left()
        if self.died is None:
            return 0
        name, status = self.died
        why = self._lines.last.get(name)
        said = f"; its last line: {why}" if why else ""
        print(f"coinwire: {name} ended by itself ({exit_reason(status)}){said}", file=sys.stderr, flush=True)
        return 1

    def terminate(self) -> None:
        """Ask every part to stop; those that stop last are asked by `_tick`."""
        if self._terminating:
            return
        self._terminating = True
        self._ask(name for name in self._processes if name not in self._last)

    def kill(self) -> None:
        """SIGKILL what still runs: honcho calls this when five seconds were not enough."""
        if not self._killed:
            self._killed = True
            super().kill()

    def _start(self) -> None:
        # honcho's own handlers print and kill from within the signal, and fail while a pid is still unknown:
        # ours only count, and the loop acts.
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._count_signal)
        super()._start()

    def _count_signal(self, signum: int, frame: FrameType | None) -> None:
        self._asked += 1

    def _all_started(self) -> bool:
        # The one place that honcho's loop passes every tenth of a second.
        started: bool = super()._all_started()
        if started:
            self._tick()
        return started

    def _tick(self) -> None:
        if self._lines.closed and not self._asked:
            self._asked = 1
        stopped = {name: part["returncode"] for name, part in self._processes.items() if "returncode" in part}
        if stopped and not self._asked and not self._terminating and self.died is None:
            self.died = next(iter(stopped.items()))
        if self._asked and not self._terminating:
            self.returncode = 0
            self._lines.write(self._message("stopping (once more to kill what hangs)"))
            self.terminate()
        if self._asked > 1:
            self.kill()
        if self._terminating and not self._last_told and self._processes.keys() - stopped.keys() <= self._last:
            self._last_told = True
            self._ask(self._last)

    def _ask(self, names: Any) -> None:
        for name in names:
            part = self._processes[name]
            if "returncode" not in part:
                self._procmgr.terminate(part["pid"])

    def _kill_left(self) -> None:
        """After an error in the loop itself: nobody stays behind."""
        for part in self._processes.values():
            if "returncode" not in part and part.get("pid") is not None:
                self._procmgr.kill(part["pid"])
            if part.get("process") is not None:
                part["process"].join(5)

    def _message(self, text: str) -> Any:
        return Message(type="line", data=text, time=self._clock.now(), name=SYSTEM_PRINTER_NAME, colour=None)
