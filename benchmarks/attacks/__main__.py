"""Attack a gateway, and measure what an innocent client beside the attackers notices.

    python -m benchmarks.attacks                      # all attacks, about ten minutes
    python -m benchmarks.attacks pongs "unread"       # those whose name contains one of these
    python -m benchmarks.attacks --list               # what each attack does
    python -m benchmarks.attacks --json attacks.json  # all figures, also those that the table leaves out

Everything runs on this machine: a Redis, a publisher of 20 updates per second, one gateway per attack, an innocent
client in each form, and the attackers, which have a low priority. The exit status is 1 if a bound was missed.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.attacks import measure
from benchmarks.attacks.catalogue import ATTACKS
from benchmarks.attacks.crowd import Attack
from benchmarks.attacks.measure import Result
from benchmarks.attacks.stage import Stage

_WIDTH = 150  # of the table where the output is no terminal

console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)


def chosen(names: list[str]) -> list[Attack]:
    """The attacks whose name contains one of `names`; all without names."""
    found = [attack for name, attack in ATTACKS.items() if not names or any(each in name for each in names)]
    if not found:
        raise typer.BadParameter(f"no attack is called so; there are: {', '.join(ATTACKS)}")
    return found


def table_of(results: list[Result]) -> Table:
    """One row per attack."""
    table = Table(title="An innocent client beside attackers", title_justify="left")
    table.add_column("attack")
    for heading in ("late before\np99 ms", "late during\np50 p99 max ms", "on the bus\nmax ms", "health\nmax ms"):
        table.add_column(heading, justify="right")
    table.add_column("memory, MiB\nbefore peak after", justify="right")
    table.add_column("attackers")
    table.add_column("bounds")
    for each in results:
        fates = ", ".join(f"{count} {fate}" for fate, count in sorted(each.fates.items(), key=lambda item: -item[1]))
        verdict = "[green]kept[/]" if not each.missed else f"[red]missed[/]: {'; '.join(each.missed)}"
        table.add_row(
            each.name,
            f"{each.calm.p99:.0f}",
            f"{each.late.p50:.0f} {each.late.p99:.0f} {each.late.max:.0f}",
            f"{each.bus.max:.0f}",
            f"{each.health.max:.0f}",
            f"{each.before:.0f} {each.peak:.0f} {each.after:.0f}",
            fates or "none",
            verdict + (" (busy machine)" if each.busy and each.missed else ""),
        )
    return table


_LEGEND = f"""\
late: from the publisher to the innocent client, all forms together. Bound: {measure.LATE:.0f} ms.
on the bus: the same updates, read from Redis itself. What is late there was delayed by this machine.
health: /health/ready on a new connection, five times per second. Bound: {measure.HEALTH:.0f} ms, and status 200.
memory: resident memory of the gateway before, at its peak, and at the end. Bound: {measure.MEMORY:.0f} MiB.
attackers: how their connections ended (close code, or HTTP status); held: open to the end, within the bounds.
Also: the innocent misses no update and is not disconnected. At most {measure.LOG_BURST} lines are logged, and
{measure.LOG_LINES:.0f} more per second."""


def main(
    names: Annotated[list[str] | None, typer.Argument(help="parts of names of attacks; default: all")] = None,
    output: Annotated[Path | None, typer.Option("--json", help="write all figures to this file")] = None,
    show: Annotated[bool, typer.Option("--list", help="print what each attack does, and end")] = False,
    command: Annotated[str, typer.Option(help="what starts the gateway")] = f"{sys.executable} -m gateway",
) -> None:
    """Attack a gateway of our own, and print what an innocent client notices."""
    attacks = chosen(names or [])
    if show:
        for attack in attacks:
            console.print(f"[bold]{attack.name}[/]: {attack.about}")
        return
    results: list[Result] = []
    with Stage(command.split()) as stage:
        for number, attack in enumerate(attacks, 1):
            console.print(f"[dim]{number} of {len(attacks)}[/] {attack.name}: {attack.about}")
            results.append(measure.measure(stage, attack))
            if output is not None:
                output.write_text(json.dumps([asdict(each) for each in results], indent=1) + "\n")
    console.print(table_of(results), _LEGEND)
    missed = sum(bool(each.missed) for each in results)
    console.print(f"{len(results) - missed} of {len(results)} attacks kept within all bounds")
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    typer.run(main)
