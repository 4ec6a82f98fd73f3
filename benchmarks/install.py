"""Builds and installs what is measured, outside of .venv: into benchmarks/.installed, or the folder PEERBENCH.

Nothing here knows where packages come from: pip, npm and go use what they are configured with.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.processes import BenchmarkError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROGRAMS = HERE / "programs"
CENTRIFUGO = "github.com/centrifugal/centrifugo/v6@v6.9.1"

_INSTALL_SECONDS = 900.0  # Centrifugo is compiled in three minutes on two cores


class Installed:
    """The folder with everything that is installed, and the paths in it."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = (folder or Path(os.environ.get("PEERBENCH") or HERE / ".installed")).resolve()
        self.wsload = self.folder / "c" / "wsload"
        self.loop = self.folder / "c" / "loop"
        self.python = self.folder / "venv" / "bin" / "python"
        self.node_modules = self.folder / "node" / "node_modules"
        self.centrifugo = self.folder / "bin" / "centrifugo"

    def install(self, kit: str) -> None:
        """Install `kit` unless it is there in this version. Raises BenchmarkError, which says what is missing."""
        KITS[kit](self)


def compile_c(installed: Installed) -> None:
    """The load client and the C loop."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BenchmarkError("no C compiler is installed (Debian: apt-get install gcc libc6-dev)")
    for source, program in ((HERE / "wsload" / "wsload.c", installed.wsload), (PROGRAMS / "loop.c", installed.loop)):
        newest = max(each.stat().st_mtime for each in source.parent.glob("*.[ch]"))
        if not program.exists() or program.stat().st_mtime < newest:
            program.parent.mkdir(parents=True, exist_ok=True)
            _run([compiler, "-O2", "-Wall", "-o", str(program), str(source)], program.parent)


def install_python(installed: Installed) -> None:
    """A virtual environment with requirements.lock."""
    lock, stamp = PROGRAMS / "requirements.lock", installed.folder / "venv" / ".lock"
    if _same(lock, stamp):
        return
    _say("the Python packages")
    venv = installed.python.parent.parent
    if uv := shutil.which("uv"):
        _run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(venv)], ROOT)
        _run([uv, "pip", "install", "--quiet", "--python", str(installed.python), "-r", str(lock)], ROOT)
    else:
        _run([sys.executable, "-m", "venv", str(venv)], ROOT)
        pip = [str(installed.python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, "-r", str(lock)], ROOT)
    shutil.copy(lock, stamp)


def install_node(installed: Installed) -> None:
    """node_modules with package-lock.json."""
    lock, stamp = PROGRAMS / "package-lock.json", installed.node_modules / ".lock"
    _require("node", "Node is not installed")
    if _same(lock, stamp):
        return
    npm = _require("npm", "npm is not installed")
    _say("the Node packages")
    folder = installed.node_modules.parent
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PROGRAMS / name, folder)
    _run([npm, "ci", "--loglevel=error", "--no-audit", "--no-fund"], folder)
    shutil.copy(lock, stamp)


def install_centrifugo(installed: Installed) -> None:
    """One static binary, built from its module."""
    stamp = installed.centrifugo.with_name("centrifugo.version")
    if installed.centrifugo.exists() and stamp.exists() and stamp.read_text() == CENTRIFUGO:
        return
    go = _require("go", "Go is not installed")
    _say("Centrifugo, which takes some minutes")
    installed.centrifugo.parent.mkdir(parents=True, exist_ok=True)
    _run([go, "install", CENTRIFUGO], ROOT, {"CGO_ENABLED": "0", "GOBIN": str(installed.centrifugo.parent)})
    stamp.write_text(CENTRIFUGO)


KITS: dict[str, Callable[[Installed], None]] = {
    "c": compile_c,
    "python": install_python,
    "node": install_node,
    "go": install_centrifugo,
}
"""What gateways need, by the name that `Gateway.kit` has."""


def _require(program: str, otherwise: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise BenchmarkError(otherwise)
    return path


def _same(lock: Path, stamp: Path) -> bool:
    return stamp.exists() and stamp.read_bytes() == lock.read_bytes()


def _say(what: str) -> None:
    print(f"installing {what}, once", file=sys.stderr, flush=True)


def _run(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    """Run to the end. Raises BenchmarkError with the last line of what went wrong."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **(env or {})}, capture_output=True, text=True,
            timeout=_INSTALL_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{name} did not end within {_INSTALL_SECONDS:.0f} s") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise BenchmarkError(f"{name} failed: {lines[-1]}")
