"""`coinwire restore FILE`: what a backup holds, back into the database. `commands.backup` describes the file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from commands.backup import restore_backup, verify
from commands.options import StateFolder
from commands.stored.history import open_history
from launcher.state import DEFAULT_FOLDER, State


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `coinwire backup` wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="First delete what the database has.")] = False,
    merge: Annotated[bool, typer.Option("--merge", help="Keep what the database has and add the rest.")] = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Verify a backup, then insert its records. Nothing is restored from a damaged file."""
    typer.echo(asyncio.run(_restore(State(state), file, replace=replace, merge=merge)))


async def _restore(state: State, file: Path, *, replace: bool, merge: bool) -> str:
    trailer = await asyncio.to_thread(verify, file)  # before the database is touched
    async with open_history(state, create=True) as database:
        return await restore_backup(database, file, trailer, replace=replace, merge=merge)
