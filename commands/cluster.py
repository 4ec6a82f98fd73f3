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

    Stop it with Ctrl-C. The figures move and are labelled as simulated; no upstream is asked.
    """
    _run(DEMO, State(state))


def run(state: StateFolder = DEFAULT_FOLDER) -> None:
    """Run everything on this machine with figures of the real upstreams.

    Stop it with Ctrl-C.
    """
    _run(RUN, State(state))


def _run(mode: str, state: State) -> None:
    plan = make_plan(load_settings(), mode, state, colour=wants_colour(sys.stdout))
    with state.claim(plan.redis_url, plan.database_url):
        status = Cluster(plan.parts).run()
    raise typer.Exit(status)
