"""Tables of the results: on the terminal, and as Markdown between the marks of the README files."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from benchmarks.install import HERE, ROOT
from benchmarks.results import Runs, read
from benchmarks.scenarios import SCENARIOS, Scenario

WIRE = "wire"
PLOTS = {"saturated": "cost.png", "idle": "idle.png", WIRE: "wire.png", "crowd": "late.png"}
"""The plots that stand below the table of a scenario."""

_HEADING = 9  # columns of a heading on a terminal, which then takes several lines

Cell = Callable[[Runs], str]


def _number(key: str, form: str, factor: float = 1.0) -> Cell:
    """The median of a figure, or a dash."""

    def cell(runs: Runs) -> str:
        median = runs.median(key)
        return "–" if median is None else f"{median * factor:{form}}"

    return cell


def _range(runs: Runs) -> str:
    values = runs.values("cpu_us")
    return f"{min(values):.3g}–{max(values):.3g}" if values else "–"


def _lost(runs: Runs) -> str:
    """The share that was lost, of each run if any run lost something."""
    shares = [row["lost"] / (row["lost"] + row["messages"]) for row in runs.rows if "lost" in row]
    return ", ".join(f"{share:.2%}" for share in shares) if any(shares) else "0"


def _growth(runs: Runs) -> str:
    grown = [
        after - before
        for after, before in zip(runs.values("rss_after_kib"), runs.values("rss_connected_kib"), strict=True)
    ]
    return f"{max(grown) / 1024:.0f}" if grown else "–"


def _again(runs: Runs) -> str:
    """Whether connections that are left deliver once the burst is over."""
    found = runs.median("delivers_again")
    if runs.median("gone") == runs.median("established"):
        return "no client is left"
    return "–" if found is None else "yes" if found == 1 else "no" if found == 0 else f"{found:.0%}"


COLUMNS: dict[str, Sequence[tuple[str, Cell]]] = {
    "cpu": [("µs per delivery", _number("cpu_us", ".2f"))],
    "kernel": [("in the kernel", _number("system_us", ".2f"))],
    "range": [("min to max", _range)],
    "rate": [("deliveries/s", _number("deliveries_per_s", ",.0f"))],
    "late": [(f"{name} ms", _number(f"{name}_ms", ".1f")) for name in ("p50", "p99", "max")],
    "size": [("bytes each", _number("bytes_per_delivery", ",.0f"))],
    "lost": [("lost", _lost)],
    "twice": [("twice", _number("twice", ",.0f"))],
    "gone": [("clients disconnected", _number("gone", ".0f"))],
    "again": [("delivers afterwards", _again)],
    "growth": [("MiB more memory", _growth)],
    "memory": [("KiB per connection", _number("kib_per_connection", ".1f"))],
    "connect": [("ms CPU per connect", _number("connect_cpu_ms", ".2f"))],
    "herd": [
        ("s CPU until all are live", _number("connect_cpu_s", ".2f")),
        ("s until all are live", _number("connect_s", ".1f")),
    ],
    "failed": [("failed", _number("failed", ".0f"))],
    WIRE: [
        ("kB per minute", _number("minute_bytes", ",.1f", 1e-3)),
        ("kB in the first minute", _number("first_minute_bytes", ",.1f", 1e-3)),
    ],
}
"""By the name that `Scenario.columns` has."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its heading and an explanation."""

    scenario: str
    title: str
    shows: str
    head: Sequence[str]
    body: Sequence[Sequence[str]]

    @property
    def markdown(self) -> str:
        """As Markdown, with the plot that belongs to it."""
        lines = [f"### {self.title}", "", *_wrapped(self.shows), ""]
        rule = ["---", *("--:" for _ in self.head[1:])]
        lines += ["| " + " | ".join(row) + " |" for row in (self.head, rule, *self.body)]
        if plot := PLOTS.get(self.scenario):
            lines += ["", f'<img src="results/{plot}" width="450" alt="{self.title}">']
        return "\n".join(lines)

    @property
    def rich(self) -> RichTable:
        """For a terminal."""
        table = RichTable(
            title=escape(self.title), title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False
        )
        for number, heading in enumerate(self.head):
            text = textwrap.fill(escape(heading), _HEADING, break_long_words=False)
            table.add_column(text, justify="right" if number else "left", no_wrap=True)
        for row in self.body:
            table.add_row(*map(escape, row))
        return table


def tables(folder: Path) -> Iterator[Table]:
    """A table for each scenario that has results in `folder`."""
    for scenario in SCENARIOS.values():
        if found := read(folder, scenario.name):
            yield table_of(scenario, found)
    if found := read(folder, WIRE):
        yield _wire_table(found)


def table_of(scenario: Scenario, found: Mapping[str, Runs]) -> Table:
    """The table of one scenario."""
    head, cells = ["gateway"], list[Cell]()
    for name in scenario.columns:
        columns = _ratios(scenario, found) if name == "ratios" else COLUMNS[name]
        head += [heading for heading, _ in columns]
        cells += [cell for _, cell in columns]
    body = [[name, *(cell(runs) for cell in cells)] for name, runs in found.items()]
    return Table(scenario.name, scenario.title, scenario.shows, head, body)


def _ratios(scenario: Scenario, found: Mapping[str, Runs]) -> list[tuple[str, Cell]]:
    return [(f"× {name}", _ratio(found[name])) for name in scenario.ratios if name in found]


def _ratio(base: Runs, key: str = "cpu_us") -> Cell:
    def cell(runs: Runs) -> str:
        above, below = runs.median(key), base.median(key)
        return f"{above / below:.2f}" if above is not None and below else "–"

    return cell


def _wire_table(found: Mapping[str, Runs]) -> Table:
    columns = COLUMNS[WIRE]
    body = []
    for name, runs in found.items():
        plain = found[name.partition(",")[0]]
        body.append([name, *(cell(runs) for _, cell in columns), _ratio(runs, "minute_bytes")(plain)])
    return Table(
        WIRE,
        "Bytes per client and minute",
        "From `coinwire demo`, with figures that move as real ones do. Every client decodes what it receives, and "
        "those with compression received the same updates as those without.",
        ["endpoint", *(heading for heading, _ in columns), "times smaller"],
        body,
    )


def show(folder: Path, console: Console) -> None:
    """Print all tables."""
    for table in tables(folder):
        console.print(table.rich)
        console.print()


def write(folder: Path) -> None:
    """Write the tables into benchmarks/README.md, and the ratios into the README of the project."""
    machine = json.loads((folder / "machine.json").read_text())
    about = ", ".join(f"{name} {value}" for name, value in machine.items() if value != "absent")
    parts = ["\n".join(_wrapped(f"Measured on: {about}.")), *(table.markdown for table in tables(folder))]
    between(HERE / "README.md", "\n\n".join(parts))
    if read(folder, "saturated"):
        between(ROOT / "README.md", _summary(folder))


def _summary(folder: Path) -> str:
    """What the project's README shows: the cost of a delivery, and the plot of it."""
    kinds = {"32 in flight": "saturated", "one per turn": "paced"}
    found = {heading: read(folder, name) for heading, name in kinds.items()}
    cell = _number("cpu_us", ".2f")
    head, names = ["µs of CPU per delivery, 1,000 clients"], next(iter(found.values()), {})
    body = [[name] for name in names]
    for heading, runs in found.items():
        ours = runs.get("coinwire")
        head += [heading, "× coinwire"]
        for row in body:
            theirs = runs.get(row[0])
            row += [cell(theirs) if theirs else "–", _ratio(ours)(theirs) if ours and theirs else "–"]
    rule = ["---", *("--:" for _ in head[1:])]
    table = "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))
    plot = f'<img src="benchmarks/results/{PLOTS["saturated"]}" width="450" alt="{head[0]}">'
    return f"{table}\n\n{plot}"


def between(page: Path, text: str) -> None:
    """Replace what stands between the marks of `page`."""
    marks = re.compile(r"(<!-- make bench: begin -->\n).*?(<!-- make bench: end -->)", re.DOTALL)
    page.write_text(marks.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page.read_text()))


def _wrapped(text: str, width: int = 128) -> list[str]:
    return textwrap.wrap(text, width)
