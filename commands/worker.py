"""`coinwire worker CATEGORY`: one worker in the foreground."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from commands.options import ArgumentError
from shared.catalog import CATEGORIES
from workers.__main__ import work


def worker(
    category: Annotated[str, typer.Argument(metavar="CATEGORY", help=f"One of {', '.join(CATEGORIES)}.")],
) -> None:
    """Run one worker, which collects the services of a category.

    Stops at SIGTERM or Ctrl-C. Needs REDIS_URL. A second worker of the same category stands by.
    """
    if category not in CATEGORIES:
        raise ArgumentError(f"no category {category!r}; there are {', '.join(CATEGORIES)}")
    raise typer.Exit(asyncio.run(work([category])))
