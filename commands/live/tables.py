"""The `data` of any service as tables, as wide as the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from commands.terminal import printable, short
from shared.catalog import SERVICES
from shared.payloads.filtering import Choice

_WIDEST = 60  # columns of a cell on a terminal: a headline; what is longer ends with an ellipsis
_NARROWEST = 16  # columns that a text keeps before a whole column of the table is left out
_GAP = 2  # columns between two of the table
_WHOLE = 1e6  # from here on, what comes after the point says nothing to a person
_UNLIMITED = 10_000  # columns where no terminal limits them

Rows = Mapping[str, Mapping[str, Any]]


def plain_console() -> Console:
    """Where tables are printed: as wide as the terminal; as wide as they are into a pipe or a file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_UNLIMITED, color_system=None)


def view(service: str, data: Mapping[str, Any], heading: str, console: Console) -> RenderableType:
    """All of `data`: figures alone, then a table per map or list; maps with the same keys share one."""
    limit = console.width if console.is_terminal else _UNLIMITED
    parts: list[RenderableType] = [Text(printable(heading), style="bold", no_wrap=True, overflow="ellipsis")]
    alone = {name: value for name, value in data.items() if name != "timestamp" and not _has_rows(value)}
    if alone:
        parts.append(_alone(alone, limit))
    ages = {name: value for name, value in data.items() if name == "as_of"}  # the least interesting, so at the end
    rest = {name: value for name, value in data.items() if name not in ages}
    for some in (rest, ages):
        for title, rows, labels in _tables(service, some):
            parts += [Text(""), *_table(title, rows, labels, limit)]
    return Group(*parts)


def _has_rows(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def _alone(figures: Mapping[str, Any], limit: int) -> Table:
    table = Table(box=None, show_header=False, padding=(0, _GAP, 0, 0), pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold", max_width=max(limit - max(map(cell_len, figures)) - _GAP, _NARROWEST))
    for name, value in figures.items():
        values = value if isinstance(value, list) else [value]
        table.add_row(printable(name), ", ".join(_cell(each).plain for each in values) or "–")
    return table


def _tables(service: str, data: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]], list[str] | None]]:
    """Title, rows and, where they have names, the names of the rows."""
    columns = {name: value for name, value in data.items() if isinstance(value, dict) and not _is_rows(value)}
    while columns:
        first, entries = next(iter(columns.items()))
        alike = {name: each for name, each in columns.items() if name == first or entries.keys() & each.keys()}
        names = list(dict.fromkeys(key for each in alike.values() for key in each))
        rows: list[Mapping[str, Any]] = [{title: each.get(name) for title, each in alike.items()} for name in names]
        key = _key_of(service, first) if names else first
        yield "" if names and key == first and len(alike) == 1 else key, rows, names
        for name in alike:
            del columns[name]
    for name, value in data.items():
        if isinstance(value, dict) and _is_rows(value):
            yield f"{name}", [item if isinstance(item, dict) else {} for item in value.values()], list(value)
        elif isinstance(value, list) and _has_rows(value):
            yield name, [item for item in value if isinstance(item, dict)], None


def _is_rows(value: Mapping[str, Any]) -> bool:
    """Whether a map has a row per key, and not a figure per key."""
    return bool(value) and all(isinstance(item, dict) for item in value.values())


def _key_of(service: str, field: str) -> str:
    """What the keys of a map are, as its filter names them: `coin`; else the name of the field."""
    for rule in SERVICES[service].payload.filters if service in SERVICES else ():
        if isinstance(rule, Choice) and field in rule.maps:
            return rule.name.removesuffix("s")
    return field


def _table(title: str, rows: list[Mapping[str, Any]], labels: list[str] | None, limit: int) -> Iterable[RenderableType]:
    """The table, and which of its columns do not fit."""
    if not rows:
        return [Text(f"{printable(title)}: none", style="dim")]
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = {name: [_cell(row.get(name), name) for row in rows] for name in names}
    if labels is not None:
        cells = {"": [Text(printable(label)) for label in labels], **cells}
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, header_style="dim")
    left, left_out = limit, []
    for number, (name, column) in enumerate(cells.items()):
        header = Text(printable(name or title))
        widest = _WIDEST if limit < _UNLIMITED else _UNLIMITED
        natural = min(max(map(cell_len, [header.plain, *(cell.plain for cell in column)])), widest)
        right = bool(name) and all(_is_figure(row.get(name)) for row in rows)
        needed = natural if right else min(natural, _NARROWEST)
        if number and needed + _GAP > left:
            left_out.append(header.plain)
            continue
        left -= needed + _GAP
        table.add_column(
            header,
            justify="right" if right else "left",
            no_wrap=True,
            overflow="ellipsis",
            min_width=min(needed, limit),
            max_width=natural,
        )
    shown = [column for name, column in cells.items() if printable(name or title) not in left_out]
    for row in zip(*shown, strict=True):
        table.add_row(*row)
    heading = [] if labels is not None else [Text(printable(title), style="dim")]
    more = [Text(f"not shown: {', '.join(left_out)}", style="dim")] if left_out else []
    return [*heading, *more, table]


def _is_figure(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any, name: str = "") -> Text:
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    whole = isinstance(value, int) or (isinstance(value, float) and _WHOLE <= abs(value) < math.inf)
    text = f"{value:,.0f}" if whole else short(value)
    style = ""
    if "change" in name and isinstance(value, int | float) and value:
        style = "green" if value > 0 else "red"
    return Text(printable(text), style=style)
