"""docs/architecture.md draws the rooms that there are, and the imports between them."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

from tests.places import ROOT
from tests.project.test_reference import table

PAGE = (ROOT / "docs" / "architecture.md").read_text()
PARTS = ("shared", "gateway", "workers", "simulator", "launcher", "commands")
LEFT_OUT = {"shared", "shared/payloads", "shared/settings"}
"""Rooms that every other may import."""
FORWARDS = "The address of "
"""How the docstring of a module begins that only forwards an address of before."""


def block(heading: str) -> str:
    """The first code block under a heading."""
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n```\n")[2].partition("\n```\n")[0]


def modules() -> Iterator[Path]:
    """Every module of every part, from the root of the repository."""
    for part in PARTS:
        yield from (path.relative_to(ROOT) for path in (ROOT / part).rglob("*.py"))


def room_of(names: tuple[str, ...]) -> str:
    """The room of a module: the folder in its part, or the part itself."""
    inner = len(names) > 1 and (ROOT / names[0] / names[1]).is_dir()
    return "/".join(names[: 2 if inner else 1])


def imported(tree: ast.Module) -> Iterator[tuple[str, ...]]:
    """The parts' modules that a module imports, wherever it does; of `from a import b`, a.b, which may be a module."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not read here"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (tuple(name.split(".")) for name in names if name.partition(".")[0] in PARTS)


def edges() -> dict[str, set[str]]:
    """Room to the rooms that it imports."""
    found: dict[str, set[str]] = {}
    for path in modules():
        tree = ast.parse((ROOT / path).read_text())
        if not (ast.get_docstring(tree) or "").startswith(FORWARDS):
            room = room_of(path.with_suffix("").parts)
            found.setdefault(room, set()).update(room_of(names) for names in imported(tree))
    return {room: others - {room} - LEFT_OUT for room, others in found.items()}


def test_the_arrows_are_the_imports() -> None:
    """Every import between two rooms is an arrow of the page, and every arrow an import."""
    lines = re.sub(r"\n +", " ", block("Who imports whom"))
    drawn = dict(re.findall(r"^(\S+) → (.+)$", lines, re.MULTILINE))
    assert {room: set(others.split(", ")) for room, others in drawn.items()} == {
        room: others for room, others in edges().items() if others
    }


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Not even for their types."""
    names = {path.with_suffix("").parts: path for path in modules()}
    names |= {name[:-1]: path for name, path in names.items() if name[-1] == "__init__"}
    graph = {
        path: {names.get(name) or names.get(name[:-1]) for name in imported(ast.parse((ROOT / path).read_text()))}
        for path in names.values()
    }
    graphlib.TopologicalSorter({path: others - {path, None} for path, others in graph.items()}).prepare()


def test_every_room_is_drawn_and_described() -> None:
    """The picture and the table have the rooms that there are, and no other."""
    rooms = {room_of(path.with_suffix("").parts) for path in modules()}
    words = rf"(?<![\w/])(?:{'|'.join(PARTS)})(?:/\w+)?(?![\w/])"
    assert set(re.findall(words, block("The rooms"))) == rooms
    assert {row[0].strip("`") for row in table(PAGE, "room")} == rooms


def test_the_picture_fits_a_terminal() -> None:
    """No line of a drawing is wider than 100 columns."""
    drawings = block("The rooms") + "\n" + block("Who imports whom")
    assert [line for line in drawings.splitlines() if len(line) > 100] == []


def test_what_a_stop_names_is_where_it_says() -> None:
    """Each of the seven stops names a class or a method of the files beside it."""
    stops = PAGE.partition("\n## One update, seven stops\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\d\. \*\*`(\w+)\.?(\w*)`\*\* \(`([\w/.]+)`", stops, re.MULTILINE)
    assert len(found) == 7
    for kind, method, place in found:
        paths = [ROOT / place] if place.endswith(".py") else list((ROOT / place).rglob("*.py"))
        assert any(name in path.read_text() for path in paths for name in (f"class {kind}", f"{kind}(")), kind
        assert not method or any(re.search(rf"\b{method}\b", path.read_text()) for path in paths), method
