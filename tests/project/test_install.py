"""What `make` installs into .venv, and when, tried with programs that only write down how they were called."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

RUNTIME, DEV = ".venv/.runtime", ".venv/.installed"
UV = """#!/bin/sh
echo "uv $*" >>calls
[ -z "$FAIL" ] || exit 1
[ "$1" != venv ] || mkdir -p .venv/bin
cp python .venv/bin/python
"""
PYTHON = """#!/bin/sh
case $* in
-c*) exit 0 ;; # the version is asked for
esac
echo "python $*" >>calls
[ "$2" != venv ] || { mkdir -p .venv/bin; cp python .venv/bin/python; }
"""


class Checkout:
    """A folder with the Makefile and what it installs from; programs that stand for uv and Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        self.programs.mkdir()
        (folder / ".ci").mkdir()
        for name in ("Makefile", "requirements-dev.lock", ".ci/install.sh"):
            shutil.copy(ROOT / name, folder / name)
        self.program(folder / "python", PYTHON)
        self.program(self.programs / "uv", UV)

    @staticmethod
    def program(path: Path, text: str) -> None:
        """Write an executable file."""
        path.write_text(text)
        path.chmod(0o755)

    def make(self, target: str, **env: str) -> list[str]:
        """Run make; returns how the programs were called meanwhile, without what is the same in every call."""
        calls = self.folder / "calls"
        calls.write_text("")
        path = f"{self.programs}:/usr/bin:/bin"
        subprocess.run(
            ["make", f"PYTHON={self.folder}/python", target],  # noqa: S607
            cwd=self.folder,
            env={"PATH": path, **env},
            check=True,
            capture_output=True,
        )
        return calls.read_text().splitlines()

    def change_the_lock(self) -> None:
        """As a pull does that brings another version of a package."""
        lock = self.folder / "requirements-dev.lock"
        lock.write_text(lock.read_text() + "another==1\n")
        for stamp in (self.folder / RUNTIME, self.folder / DEV):
            if stamp.exists():  # the install was a while ago
                os.utime(stamp, (lock.stat().st_mtime - 60,) * 2)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh clone."""
    return Checkout(tmp_path)


def test_the_demo_installs_what_it_runs(checkout: Checkout) -> None:
    """Dependencies and the embedded server in the locked versions, and no tool; once."""
    (venv, install) = checkout.make(RUNTIME)
    assert venv.startswith("uv venv ")
    assert install.endswith("--constraint requirements-dev.lock --editable .[embedded]")
    assert checkout.make(RUNTIME) == []


def test_tools_are_added_to_what_the_demo_runs(checkout: Checkout) -> None:
    """`make test` after `make demo` adds to the same .venv, which a demo may be running from."""
    checkout.make(RUNTIME)
    (install,) = checkout.make(DEV)
    assert install.endswith("--requirement requirements-dev.lock --editable .")
    assert checkout.make(RUNTIME) == []


def test_the_demo_takes_no_tool_away(checkout: Checkout) -> None:
    """`make demo` after `make test` installs nothing; after the lock changed, it installs the tools again too."""
    checkout.make(DEV)
    assert checkout.make(RUNTIME) == []
    checkout.change_the_lock()
    venv, install = checkout.make(RUNTIME)
    assert venv.startswith("uv venv ")  # from nothing: what is no longer locked is gone
    assert "--requirement requirements-dev.lock" in install
    assert checkout.make(DEV) == []


def test_an_install_that_was_cut_off_begins_anew(checkout: Checkout) -> None:
    """The files of an interrupted install are not used."""
    (checkout.folder / ".venv/bin").mkdir(parents=True)
    (checkout.folder / ".venv/bin/half").touch()
    checkout.make(RUNTIME)
    assert not (checkout.folder / ".venv/bin/half").exists()


def test_without_uv_pip_installs(checkout: Checkout) -> None:
    """Where uv is not on PATH, venv and pip do the same."""
    (checkout.programs / "uv").unlink()
    venv, *_, install = checkout.make(RUNTIME)
    assert venv == "python -m venv .venv"
    assert install.startswith("python -m pip install ")
    assert install.endswith("--constraint requirements-dev.lock --editable .[embedded]")


def test_where_uv_fails_pip_installs(checkout: Checkout) -> None:
    """uv that can't reach the registry that pip is configured for is no obstacle."""
    assert checkout.make(RUNTIME, FAIL="1")[-1].startswith("python -m pip install ")


@pytest.mark.slow
def test_the_script_finds_the_checkout_from_anywhere(tmp_path: Path) -> None:
    """`.venv/bin/coinwire`, where `make install` has put it, runs in another folder."""
    script = Path(sys.executable).parent / "coinwire"
    if not script.exists():
        pytest.skip("this Python's environment was not made by `make install`")
    done = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("coinwire ")
