"""The benchmark's tables, from recorded runs."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement

from benchmarks import report, results
from benchmarks.gateways import GATEWAYS, mixed
from benchmarks.install import KITS
from benchmarks.scenarios import QUICK, SCENARIOS, shortened
from tests.places import ROOT

PAGE = (ROOT / "benchmarks" / "README.md").read_text()


def run(gateway: str, cpu: float, **figures: Any) -> dict[str, Any]:
    """One run, as in the JSON lines."""
    return {"gateway": gateway, "cpu_us": cpu, "system_us": 1.0, "messages": 1000, "lost": 0, **figures}


def test_medians_and_ratios_of_recorded_runs(tmp_path: Path) -> None:
    """A table has the median of each figure, its range, and the median over that of the named gateways."""
    rows = [run("coinwire", cpu) for cpu in (1.0, 9.0, 2.0)] + [run("C loop", cpu) for cpu in (8.0, 8.0, 4.0)]
    results.write(tmp_path, "saturated", rows)
    (table,) = report.tables(tmp_path)
    assert "× C loop" in table.head
    assert "× Centrifugo" not in table.head
    ours = dict(zip(table.head, table.body[0], strict=True))
    assert (ours["gateway"], ours["µs per delivery"], ours["min to max"]) == ("coinwire", "2.00", "1–9")
    assert (ours["× C loop"], ours["deliveries/s"], ours["lost"]) == ("0.25", "–", "0")


def test_a_loss_is_shown_per_run(tmp_path: Path) -> None:
    """If any run lost something, each run's share is there: a median would hide it."""
    results.write(tmp_path, "saturated", [run("ws", 1.0), run("ws", 1.0, messages=900, lost=100), run("ws", 1.0)])
    (table,) = report.tables(tmp_path)
    assert table.body[0][-1] == "0.00%, 10.00%, 0.00%"


def test_bytes_are_compared_with_those_without_compression(tmp_path: Path) -> None:
    """The last column says how many times smaller an endpoint's bytes are."""
    rows = [("/ws/all", 5e5), ("/ws/all, compressed", 1e5)]
    results.write(tmp_path, report.WIRE, [{"gateway": name, "minute_bytes": size} for name, size in rows])
    (table,) = report.tables(tmp_path)
    assert [row[-1] for row in table.body] == ["1.00", "5.00"]
    assert "| /ws/all, compressed | 100.0 | – | 5.00 |" in table.markdown


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    """Text before and after the marks stays, and a second report replaces the first."""
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- make bench: begin -->\nold\n<!-- make bench: end -->\nafter\n")
    report.between(page, "first")
    report.between(page, "second")
    assert page.read_text() == "before\n<!-- make bench: begin -->\n\nsecond\n\n<!-- make bench: end -->\nafter\n"


def test_both_pages_have_the_marks() -> None:
    """`make bench` finds where to write."""
    for page in (PAGE, (ROOT / "README.md").read_text()):
        assert re.search(r"^<!-- make bench: begin -->\n(.*\n)*<!-- make bench: end -->$", page, re.MULTILINE)


def test_a_table_fits_a_terminal(tmp_path: Path) -> None:
    """The widest table has at most 120 columns."""
    for scenario in SCENARIOS.values():
        rows = [
            run(trial.gateway.name, 123.4, p50_ms=1234.5, p99_ms=1234.5, max_ms=1234.5) for trial in scenario.trials
        ]
        results.write(tmp_path, scenario.name, rows)
    console = Console(file=io.StringIO(), width=200)
    for table in report.tables(tmp_path):
        width = Measurement.get(console, console.options, table.rich).maximum
        assert width <= 120, table.title


def test_the_page_describes_every_gateway_and_figure() -> None:
    """Each gateway has a row of the first table, and what a column shows is explained."""
    assert re.findall(
        r"^\| ([\w .]+) \| ", PAGE.partition("## What is measured")[2].partition("Each is")[0], re.MULTILINE
    )[1:] == list(GATEWAYS)
    for key in ("cpu_us", "p99_ms", "lost", "twice", "gone", "delivers_again", "kib_per_connection", "connect_cpu_ms"):
        assert f"`{key}`" in PAGE


def test_a_scenario_names_what_there_is() -> None:
    """Columns, kits and the gateways of a quick run exist."""
    assert set(QUICK) <= set(GATEWAYS)
    assert {each.kit for each in GATEWAYS.values()} <= set(KITS)
    for scenario in SCENARIOS.values():
        assert set(scenario.columns) - {"ratios"} <= set(report.COLUMNS)
        assert len({trial.gateway.name for trial in scenario.trials}) == len(scenario.trials)
        quick = {trial.gateway.name for trial in shortened(scenario).trials}
        assert quick
        assert not quick & (set(GATEWAYS) - set(QUICK))


def test_mixed_clients_are_on_all_endpoints() -> None:
    """Sixteen groups, each with the services that its endpoint subscribes or lists."""
    groups = {group.path: group.services or frozenset() for group in mixed().dialect.groups}
    assert len(groups) == 16
    assert {path: len(services) for path, services in groups.items() if len(services) > 1} == {
        **dict.fromkeys(("/ws", "/ws/master", "/ws/all"), 12),
        "/ws/data": 7,
        "/ws/monitoring": 3,
        "/ws/integration": 2,
    }
