"""Every Lua script says in its header what it does, and what each of its KEYS and ARGV is."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest

from tests.places import ROOT

FILES = sorted((ROOT / "shared" / "bus").glob("*.lua"))
ARGUMENT = re.compile(r"\b(?:KEYS|ARGV)\[\d+\]")

scripts = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def parts(file: Path) -> tuple[list[str], list[str]]:
    """The lines of the comment that the file begins with, and those after it without their comments."""
    lines = file.read_text().splitlines()
    header = list(takewhile(lambda line: line.startswith("-- "), lines))
    return header, [line.partition("--")[0] for line in lines[len(header) :]]


@scripts
def test_the_header_names_every_argument_and_no_other(file: Path) -> None:
    """Each KEYS[n] and ARGV[n] of the code has a line with its meaning, in order; so has what the script returns."""
    header, code = parts(file)
    documented = [match[1] for line in header if (match := re.match(r"-- ((?:KEYS|ARGV)\[\d+\])  +\w", line))]
    used = {argument for line in code for argument in ARGUMENT.findall(line)}
    assert documented == sorted(used, key=lambda argument: (argument[:4] != "KEYS", int(argument[5:-1])))
    assert re.match(r"-- [A-Z].*\.$", header[0])
    assert [line for line in header if re.match(r"-- returns  \w|-- returns  {", line)]


@scripts
def test_every_argument_has_a_name(file: Path) -> None:
    """KEYS[n] and ARGV[n] stand once each in the code, where a local is set to it."""
    _, code = parts(file)
    lines = [line for line in code if ARGUMENT.search(line)]
    assert all(line.startswith("local ") for line in lines), lines
    found = ARGUMENT.findall("\n".join(lines))
    assert len(found) == len(set(found))


def test_scripts_are_files() -> None:
    """No Python source holds a Lua script."""
    sources = (file for file in (ROOT / "shared").rglob("*.py"))
    assert [file.name for file in sources if "redis.call" in file.read_text()] == []
