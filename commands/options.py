"""Arguments and options that several subcommands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shared.catalog import CHANNEL_NAMES
from shared.errors import CoinwireError

StateFolder = Annotated[
    Path, typer.Option("--state", help="Folder in which a cluster on this machine keeps its data and addresses.")
]
ServiceName = Annotated[str, typer.Argument(metavar="SERVICE", help="A service of the catalogue, or `system`.")]


class ArgumentError(CoinwireError):
    """An argument makes no sense. The message says what would."""


def check_service(name: str) -> None:
    """Raise ArgumentError, which lists all services, unless `name` is one of them or `system`."""
    if name not in CHANNEL_NAMES:
        raise ArgumentError(f"no service {name!r}; there are {', '.join(CHANNEL_NAMES)}")
