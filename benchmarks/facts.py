"""What the figures depend on: machine, system and versions. Written beside them."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.install import CENTRIFUGO, PROGRAMS, ROOT
from launcher.redis_server import find_redis_server

_BUSY = 0.5  # runnable processes per core over the last minute: beyond it others take the cores


def facts() -> dict[str, str]:
    """By name, in the order of the report."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10"]),
        "machine": f"{os.cpu_count()} × {_processor()}, {_memory()} GiB, {_hypervisor()}",
        "system": f"{_distribution()}, Linux {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Redis": _said([str(find_redis_server()), "--version"], r"^(\w+).* v=([\d.]+)"),
        "Python": platform.python_version(),
        "Node": _said(["node", "--version"], r"v([\d.]+)"),
        "Go": _said(["go", "version"], r"go([\d.]+)"),
        "Centrifugo": CENTRIFUGO.rpartition("@v")[2],
        **_packages(),
    }


def busy() -> str | None:
    """A warning where this machine has other work, or None."""
    load = os.getloadavg()[0]
    if load < _BUSY * (os.cpu_count() or 1):
        return None
    return f"this machine is busy (load {load:.1f}): the figures will say little"


def _packages() -> dict[str, str]:
    """Versions of what is measured, from the locks."""
    python = dict(re.findall(r"^([\w-]+)==(\S+)", (PROGRAMS / "requirements.lock").read_text(), re.MULTILINE))
    node = dict(re.findall(r'^    "([^"]+)": "([\d.]+)"', (PROGRAMS / "package.json").read_text(), re.MULTILINE))
    names = ("picows", "uvloop", "starlette", "uvicorn", "channels", "channels-redis")
    return {name: python[name] for name in names} | node


def _said(command: list[str], pattern: str = r"(.+)") -> str:
    """What a program says of itself; `absent` where it is not installed."""
    if shutil.which(command[0]) is None:
        return "absent"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout)
    return " ".join(found.groups()) if found else "unknown"


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _hypervisor() -> str:
    return "virtual" if " hypervisor" in Path("/proc/cpuinfo").read_text() else "no hypervisor"


def _distribution() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
