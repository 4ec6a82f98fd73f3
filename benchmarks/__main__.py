"""`python -m benchmarks`: run the scenarios, print and write their results. See README.md."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import report, results, wire
from benchmarks.facts import busy, facts
from benchmarks.gateways import GATEWAYS
from benchmarks.install import HERE, KITS, ROOT, Installed
from benchmarks.measure import Bench, Trial
from benchmarks.processes import BenchmarkError, on_core, raise_file_limit, two_cores
from benchmarks.scenarios import QUICK, SCENARIOS, Scenario, shortened
from launcher.redis_server import RedisServer, RedisServerError

OFFICIAL = HERE / "results"
"""What the README files show."""

_WIRE_SECONDS, _QUICK_WIRE_SECONDS = (60.0, 120.0), (30.0, 60.0)  # the first minute, and those after it
_FAULTS = (BenchmarkError, OSError, ValueError)

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


@app.command()
def run(
    quick: Annotated[bool, typer.Option("--quick", help=f"only {', '.join(QUICK)}, and fewer repeats")] = False,
    scenario: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join((*SCENARIOS, report.WIRE))}; repeatable")
    ] = None,
    gateway: Annotated[list[str] | None, typer.Option(help=f"{', '.join(GATEWAYS)}; repeatable")] = None,
    results_folder: Annotated[Path | None, typer.Option("--results", help="folder for the results")] = None,
) -> None:
    """Measure. A whole run also writes the results into the README files; others go to benchmarks/.installed/quick."""
    unknown = {*(scenario or ()), *(gateway or ())} - {*SCENARIOS, report.WIRE, *GATEWAYS}
    if unknown:
        raise typer.BadParameter(f"there is no {', '.join(sorted(unknown))}")
    installed = Installed()
    official = results_folder is None and not quick and not gateway
    folder = results_folder or (OFFICIAL if official else installed.folder / "quick")
    try:
        chosen = [each for each in SCENARIOS.values() if not scenario or each.name in scenario]
        chosen = [_with(gateway, shortened(each) if quick else each) for each in chosen]
        _measure(chosen, installed, folder)
        if (not scenario or report.WIRE in scenario) and (not gateway or "coinwire" in gateway):
            _measure_wire(_QUICK_WIRE_SECONDS if quick else _WIRE_SECONDS, installed, folder)
    except (BenchmarkError, RedisServerError) as error:
        out.print(f"benchmark: {error}")
        raise typer.Exit(1) from None
    out.print(f"results: {folder}")
    if official:
        _publish(folder, installed)


@app.command("report")
def write_report(
    results_folder: Annotated[Path, typer.Option("--results", help="folder of the results")] = OFFICIAL,
) -> None:
    """Print recorded results, write them into the README files, and draw the plots again."""
    report.show(results_folder, out)
    _publish(results_folder, Installed())


@app.command()
def install() -> None:
    """Build and install everything that is measured."""
    _missing(KITS, Installed())


def _with(gateways: Sequence[str] | None, scenario: Scenario) -> Scenario:
    """The scenario with some gateways only, and the variants of ours."""
    if not gateways:
        return scenario
    own = "coinwire" in gateways
    some = [
        each for each in scenario.trials if each.gateway.name in gateways or (own and each.gateway.name not in GATEWAYS)
    ]
    return replace(scenario, trials=some)


def _missing(kits: Iterable[str], installed: Installed) -> dict[str, str]:
    """Install. Returns why some could not be, and prints a line for each with the gateways that it concerns."""
    reasons = {}
    for kit in kits:
        try:
            installed.install(kit)
        except BenchmarkError as error:
            reasons[kit] = str(error)
            names = ", ".join(each.name for each in GATEWAYS.values() if each.kit == kit)
            out.print(f"skipped: {names} ({error})")
    return reasons


def _measure(scenarios: Sequence[Scenario], installed: Installed, folder: Path) -> None:
    """Run the scenarios, and write and print what each found."""
    cores, files = two_cores(), raise_file_limit()
    installed.install("c")
    used = {trial.gateway.kit for each in scenarios for trial in each.trials}
    missing = _missing([kit for kit in KITS if kit in used], installed)
    if warning := busy():
        out.print(f"warning: {warning}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "machine.json").write_text(json.dumps(facts(), indent=2, ensure_ascii=False) + "\n")
    with tempfile.TemporaryDirectory() as data, on_core(cores[1]):
        server = RedisServer(Path(data)).start()
        try:
            bench = Bench(installed, server, cores, installed.folder / "gateways.log")
            for scenario in scenarios:
                if scenario.files > files:
                    out.print(f"skipped: {scenario.name} (it needs {scenario.files} open files, the limit is {files})")
                    continue
                trials = [trial for trial in scenario.trials if trial.gateway.kit not in missing]
                rows = list(_repeats(scenario, trials, bench))
                results.write(folder, scenario.name, rows)
                out.print(report.table_of(scenario, results.read(folder, scenario.name)).rich)
        finally:
            server.stop()


def _repeats(scenario: Scenario, trials: Sequence[Trial], bench: Bench) -> Iterator[results.Row]:
    """All runs of a scenario: first each trial once, then each a second time, so that a slow minute hits all."""
    for repeat in range(scenario.repeats):
        for trial in trials:
            name = trial.gateway.name
            out.print(f"[dim]{scenario.name} {repeat + 1} of {scenario.repeats}: {name}[/dim]")
            try:
                row = bench.run(trial)
            except _FAULTS as error:
                out.print(f"failed: {scenario.name} of {name} ({error})")
                continue
            about = {"scenario": scenario.name, "gateway": name, "repeat": repeat, "clients": trial.clients}
            at = datetime.now(UTC).isoformat(timespec="seconds")
            yield {**about, "published": trial.messages, "at": at, **row}


def _measure_wire(seconds: tuple[float, float], installed: Installed, folder: Path) -> None:
    """Count bytes on the endpoints of a demo."""
    out.print(f"[dim]{report.WIRE}: {sum(seconds):.0f} s of a demo[/dim]")
    log = installed.folder / "demo.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        rows = asyncio.run(wire.measure(*seconds, log))
    except _FAULTS as error:
        out.print(f"failed: {report.WIRE} ({error})")
        return
    results.write(folder, report.WIRE, [{"scenario": report.WIRE, **row} for row in rows])
    for table in report.tables(folder):
        if table.scenario == report.WIRE:
            out.print(table.rich)


def _publish(folder: Path, installed: Installed) -> None:
    """Write the README files and draw the plots."""
    report.write(folder)
    try:
        installed.install("python")
        command = [str(installed.python), "-m", "benchmarks.plots", str(folder)]
        subprocess.run(command, cwd=ROOT, check=True)
    except (BenchmarkError, subprocess.CalledProcessError) as error:
        out.print(f"the plots could not be drawn: {error}")
        sys.exit(1)


if __name__ == "__main__":
    app()
