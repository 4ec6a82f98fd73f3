"""Processes on a core of their own, and what the kernel counts of them. Linux only: it reads /proc."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from launcher.ports import LOOPBACK
from shared.errors import CoinwireError

_TICK, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
_START_SECONDS = 20.0  # the slowest gateway needs 3 s on a busy core
_STOP_SECONDS = 5.0


class BenchmarkError(CoinwireError):
    """A measurement is not possible, or one run of it failed."""


def two_cores() -> tuple[int, int]:
    """The core of the gateway, and that of everything else. Raises BenchmarkError where there are not two."""
    if not Path("/proc/self/stat").exists():
        raise BenchmarkError("the benchmark needs Linux: it reads processor time and memory from /proc")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("the benchmark needs two cores: one for the gateway, one for its clients")
    return cores[0], cores[1]


def raise_file_limit() -> int:
    """Raise the soft limit of open files to the hard one, for this process and its children. Returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Processes that are started within the block stay on `core`, also what they read of the number of cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def spawn(
    command: Sequence[str | Path], core: int, *, env: Mapping[str, str], folder: Path, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start `command` on `core`; what it prints goes to `log`."""
    with on_core(core):
        return subprocess.Popen(command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: SIGTERM, then SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        for pid in tree(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once something listens on `port`. Raises BenchmarkError where `process` ends, or after 20 s."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchmarkError(f"ended at once, with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
            return
        time.sleep(0.05)
    raise BenchmarkError(f"nothing listens on port {port} after {_START_SECONDS:.0f} s")


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += children.get(each, [])
    return found


def cpu_seconds(pid: int) -> tuple[float, float]:
    """User and system time of a process, its descendants, and those of them that ended."""
    user = system = 0
    for each in tree(pid):
        fields = _stat(each)
        user += int(fields[11]) + int(fields[13])
        system += int(fields[12]) + int(fields[14])
    return user / _TICK, system / _TICK


def rss_kib(pid: int) -> float:
    """Resident memory of a process and its descendants. The kernel's socket buffers are not part of it."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in tree(pid))
    return pages * _PAGE / 1024


def busy_seconds(core: int) -> float:
    """Seconds that `core` has worked since the machine started, for whomever."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            ticks = [int(field) for field in line.split()[1:9]]
            return (sum(ticks) - ticks[3] - ticks[4]) / _TICK  # without idle and iowait
    raise BenchmarkError(f"/proc/stat does not list core {core}")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on: the name before them may contain anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
