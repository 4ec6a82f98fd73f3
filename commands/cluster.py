"""`coinwire demo` and `coinwire run`: the whole cluster on this machine, in the foreground."""

from __future__ import annotations

import sys

import typer

from commands.options import StateFolder
from launcher.cluster import Cluster, wants_colour
from launcher.plan import DEMO, RUN, make_plan
from launcher.state import DEFAULT_FOLDER, State
from shared.settings import load_settings


def demo(state: StateFolder = DEFAULT_FOLDER) -> None:
    """Run everything on this machine with simulated figures.

    PORT is the port of the first gateway; Ctrl-C stops everything. The figures are labelled as simulated, and no
    upstream is asked.
    """
    _run(DEMO, State(state))


def run(state: StateFolder = DEFAULT_FOLDER) -> None:
    """Run everything on this machine with real figures.

    PORT is the port of the first gateway; Ctrl-C stops everything.
    """
    _run(RUN, State(state))


def _run(mode: str, state: State) -> None:
    settings = load_settings()
    state.refuse_a_second()  # first: its gateways also hold the ports, and another port would not help
    plan = make_plan(settings, mode, state, colour=wants_colour(sys.stdout))
    with state.claim(plan.redis_url, plan.database_url, plan.other_redis_urls):
        status = Cluster(plan.parts).run()
    raise typer.Exit(status)
