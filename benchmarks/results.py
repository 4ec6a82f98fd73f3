"""The runs of a scenario: JSON lines, one per run. Standard library only: the plots are drawn by another Python."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""What one run found. README.md explains the keys."""


class Runs:
    """The repeats of one trial."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def values(self, key: str) -> list[float]:
        """A figure of every run that has it."""
        return [row[key] for row in self.rows if key in row]

    def median(self, key: str) -> float | None:
        """The median of a figure, or None where no run has it."""
        values = self.values(key)
        return statistics.median(values) if values else None


def read(folder: Path, scenario: str) -> dict[str, Runs]:
    """The runs of a scenario by the name of the trial, in the order of their first run; empty where there are none."""
    path = folder / f"{scenario}.jsonl"
    rows: dict[str, list[Row]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        row = json.loads(line)
        rows.setdefault(row["gateway"], []).append(row)
    return {name: Runs(some) for name, some in rows.items()}


def write(folder: Path, scenario: str, rows: Sequence[Row]) -> None:
    """Replace the runs of a scenario."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{scenario}.jsonl").write_text("".join(json.dumps(_rounded(row)) + "\n" for row in rows))


def _rounded(row: Row) -> Row:
    """Five digits are more than any figure has; those of nanoseconds stay whole."""
    return {key: float(f"{value:.5g}") if isinstance(value, float) else value for key, value in row.items()}
