"""All subcommands as one typer application, each imported only when it is used."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from shared.errors import CoinwireError
from shared.version import VERSION

COMMANDS = {
    "demo": "cluster",
    "run": "cluster",
    "gateway": "gateway",
    "worker": "worker",
    "get": "get",
    "watch": "watch",
    "candles": "candles",
    "tail": "tail",
    "export": "export",
    "backup": "backup",
    "restore": "restore",
    "credentials": "credentials",
    "check": "check",
    "probe": "probe",
}
"""Subcommand to its module in this package, which has a function of that name. In the order of `--help`."""

_WIDTH = {"max_content_width": 100}  # columns of --help on a wide terminal; click's 80 breaks its lines early


class Commands(TyperGroup):
    """Imports a subcommand's module when it is used, and prints expected errors as one line."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": dict.fromkeys(COMMANDS)})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The subcommand of that name, or None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        single = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=_WIDTH)
        single.command(cmd_name)(getattr(import_module(f"commands.{COMMANDS[cmd_name]}"), cmd_name))
        return typer.main.get_command(single)

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand. An error that coinwire raises on purpose is one line on stderr, and exit status 2."""
        try:
            return super().invoke(ctx)
        except CoinwireError as error:
            typer.echo(f"coinwire: {error}", err=True)
            raise typer.Exit(2) from None
        except (KeyboardInterrupt, asyncio.CancelledError):
            typer.echo("coinwire: stopped", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:  # piped into `head`, which has ended: what is still buffered has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=_WIDTH,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coinwire {VERSION}")
        raise typer.Exit


@app.callback()
def coinwire(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Stream cryptocurrency data from public sources to WebSocket clients, through Redis."""
