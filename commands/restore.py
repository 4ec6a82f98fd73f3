"""`python -m commands.restore FILE`: what a backup holds, back into the database. See commands.backup for the file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from commands.backup import restore_backup, verify
from commands.records import opened, told
from launcher.state import DEFAULT_FOLDER, State

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="what `make backup` wrote")],
    replace: Annotated[bool, typer.Option(help="delete what the database has first")] = False,
    merge: Annotated[bool, typer.Option(help="add what the database does not have")] = False,
    state: Annotated[Path, typer.Option(help="folder of the cluster to restore into")] = DEFAULT_FOLDER,
) -> None:
    """Verify a backup, then insert its records. Of a file that is damaged nothing is restored."""

    async def run() -> str:
        trailer = await asyncio.to_thread(verify, file)  # before the database is touched
        async with opened(State(state), make=True) as database:
            return await restore_backup(database, file, trailer, replace=replace, merge=merge)

    told(run)


if __name__ == "__main__":
    app()
