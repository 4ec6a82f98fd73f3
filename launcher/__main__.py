"""`python -m launcher demo|run`: the whole cluster on this machine, in the foreground."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from launcher.cluster import Cluster, wants_colour
from launcher.plan import DEMO, RUN, make_plan
from launcher.state import DEFAULT_FOLDER, State
from shared.errors import CoinwireError
from shared.settings import load_settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)

Folder = Annotated[
    Path, typer.Option(help="where Redis and the history keep their data, and what `make tail` looks into")
]


@app.command()
def demo(state: Folder = DEFAULT_FOLDER) -> None:
    """Everything on this machine against the simulator: the figures move and are labelled as simulated."""
    _run(DEMO, state)


@app.command()
def run(state: Folder = DEFAULT_FOLDER) -> None:
    """The same against the real upstreams."""
    _run(RUN, state)


def _run(mode: str, folder: Path) -> None:
    state = State(folder)
    try:
        plan = make_plan(load_settings(), mode, state, colour=wants_colour(sys.stdout))
        with state.claim(plan.redis_url, plan.database_url):
            status = Cluster(plan.parts).run()
    except CoinwireError as error:
        typer.echo(f"coinwire: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(status)


if __name__ == "__main__":
    app()
