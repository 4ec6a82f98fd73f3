"""The locks of Python packages: `requirements.lock` for the image, `requirements-dev.lock` for `make install`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.places import ROOT

LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"


def project() -> dict[str, Any]:
    """The table of pyproject.toml that says what is needed."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def pins(lock: Path) -> list[str]:
    """The lines of a lock that are no comment."""
    return [line for line in lock.read_text().splitlines() if not line.startswith("#")]


def versions(lock: Path) -> dict[str, str]:
    """Package to version."""
    return dict(line.partition(" ;")[0].split("==") for line in pins(lock))


def packages(lines: list[str]) -> set[str]:
    """Names of the packages that requirements ask for, as locks write them."""
    return {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.mark.parametrize("lock", [LOCK, DEV_LOCK], ids=lambda lock: lock.name)
def test_every_package_is_pinned_once(lock: Path) -> None:
    """Each line of a lock is one version, if need be with an environment marker; each package has one line."""
    assert pins(lock)
    for pin in pins(lock):
        assert re.fullmatch(r"[a-z0-9-]+==[^ ;]+( ; .+)?", pin), pin
    assert len(versions(lock)) == len(pins(lock))


def test_the_locks_cover_pyproject() -> None:
    """What the dependencies ask for is in requirements.lock, what the extras ask for in requirements-dev.lock."""
    assert packages(project()["dependencies"]) <= set(versions(LOCK))
    for lines in project()["optional-dependencies"].values():
        assert packages(lines) <= set(versions(DEV_LOCK))


def test_what_only_an_extra_asks_for_is_not_in_the_image() -> None:
    """No package of an extra is in requirements.lock: pyarrow and onnxruntime alone would double the image."""
    extras = [line for lines in project()["optional-dependencies"].values() for line in lines]
    assert not packages(extras) - packages(project()["dependencies"]) & set(versions(LOCK))


def test_the_image_runs_what_was_tested() -> None:
    """Every line of requirements.lock, version and marker, is in requirements-dev.lock too."""
    assert set(pins(LOCK)) < set(pins(DEV_LOCK))


def test_versions_are_those_that_pyproject_allows() -> None:
    """A bound that was moved in pyproject.toml alone is found here."""
    locked = versions(DEV_LOCK)
    for line in [
        *project()["dependencies"],
        *(each for some in project()["optional-dependencies"].values() for each in some),
    ]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)]), line


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """What the image's build has of the repository when it asks: two files, side by side."""
    for name in (".ci/lock.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def asked(folder: Path, *extras: str) -> subprocess.CompletedProcess[str]:
    """`lock.py --extra`, by a Python that sees nothing but its standard library."""
    command = [sys.executable, "-I", "-S", "lock.py", "--extra", *extras]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)


def test_an_image_is_told_what_its_extras_need(build: Path) -> None:
    """Their lines of pyproject.toml, which pip then holds to requirements-dev.lock."""
    extras = project()["optional-dependencies"]
    done = asked(build, "parquet", "model")
    assert (done.returncode, done.stdout.splitlines()) == (0, [*extras["parquet"], *extras["model"]])


def test_an_extra_that_is_not_there_is_named(build: Path) -> None:
    """One line, and status 2, so that the image's build stops."""
    done = asked(build, "parquet", "modle")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lock.py: pyproject.toml has no extra 'modle'\n"


def test_the_image_has_all_that_its_packages_need_on_every_python(build: Path) -> None:
    """requirements.lock is the closure of the dependencies: worked out again from what is installed, it is the same."""
    shutil.copy(DEV_LOCK, build)
    subprocess.run([sys.executable, "lock.py", "--read"], cwd=build, check=True, capture_output=True, timeout=60)
    assert (build / LOCK.name).read_text() == LOCK.read_text()
