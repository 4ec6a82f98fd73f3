"""`python -m benchmarks.plots FOLDER`: draws the results as PNG files beside them.

Runs in the Python that has matplotlib, which is not .venv. Colours are those that can be read on white and on black.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.results import Runs, read

OURS, OTHERS, TEXT = "#e8590c", "#4c8dd6", "#808890"
_NONE = Runs([])
_SIZE = (4.8, 2.9)  # inches; at 200 dots per inch twice the 450 pixels that a README shows
_STYLE = {
    "font.size": 9, "text.color": TEXT, "axes.labelcolor": TEXT, "xtick.color": TEXT, "ytick.color": TEXT,
    "axes.edgecolor": TEXT, "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.titlesize": 10, "axes.titlelocation": "left", "ytick.left": False, "grid.color": TEXT, "grid.alpha": 0.3,
    "savefig.transparent": True,
}  # fmt: skip


def cost(folder: Path) -> Figure | None:
    """Processor time per delivery: a dot per gateway when saturated, a ring at one update per turn."""
    saturated, paced = read(folder, "saturated"), read(folder, "paced")
    names = _sorted(saturated, "cpu_us")
    if not names:
        return None
    figure, axes = _axes("µs of CPU per delivery, 1,000 clients")
    for row, name in enumerate(names):
        values = [(saturated[name].median("cpu_us"), _colour(name)), (paced.get(name, _NONE).median("cpu_us"), "none")]
        dots = sorted((value, face) for value, face in values if value is not None)
        for index, (value, face) in enumerate(dots):
            axes.scatter(value, row, s=42, facecolors=face, edgecolors=_colour(name), linewidths=1.5, zorder=3)
            offset, side = ((-7, -3), "right") if index == 0 else ((7, -3), "left")
            axes.annotate(f"{value:.3g}", (value, row), offset, textcoords="offset points", ha=side, fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="x")
    axes.margins(x=0.12)
    axes.set_xlabel("● 32 in flight   ○ one per turn   (logarithmic)")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    return figure


def idle(folder: Path) -> Figure | None:
    """Memory per connection."""
    return _bars(read(folder, "idle"), "kib_per_connection", "KiB of memory per idle connection", "{:.1f}".format)


def late(folder: Path) -> Figure | None:
    """The 99th percentile with 10,000 clients."""
    return _bars(read(folder, "crowd"), "p99_ms", "ms until 99 % of 10,000 clients have an update", "{:.0f}".format)


def wire(folder: Path) -> Figure | None:
    """Bytes per minute, with and without compression."""
    found = read(folder, "wire")
    return _bars(found, "minute_bytes", "kB per client and minute", lambda value: f"{value / 1e3:,.0f}", factor=1e-3)


PLOTS: dict[str, Callable[[Path], Figure | None]] = {"cost": cost, "idle": idle, "late": late, "wire": wire}
"""By the name of the file."""


def _bars(
    found: Mapping[str, Runs], key: str, title: str, label: Callable[[float], str], factor: float = 1.0
) -> Figure | None:
    names = _sorted(found, key)
    if not names:
        return None
    values = [found[name].median(key) or 0.0 for name in names]
    figure, axes = _axes(title)
    bars = axes.barh(names, [value * factor for value in values], height=0.6, color=[_colour(name) for name in names])
    axes.bar_label(bars, [label(value) for value in values], padding=4, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    return figure


def _axes(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _sorted(found: Mapping[str, Runs], key: str) -> Sequence[str]:
    """Names with that figure, the smallest first."""
    values = {name: runs.median(key) for name, runs in found.items()}
    return sorted((name for name, value in values.items() if value is not None), key=lambda name: values[name] or 0.0)


def _colour(name: str) -> str:
    return OURS if "coinwire" in name or "compressed" in name else OTHERS


def main(folder: Path) -> None:
    """Draw what there are results for."""
    with mpl.rc_context(_STYLE):
        for name, draw in PLOTS.items():
            figure = draw(folder)
            if figure is not None:
                figure.savefig(folder / f"{name}.png", dpi=200, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
