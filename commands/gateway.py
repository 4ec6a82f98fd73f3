"""`coinwire gateway`: one gateway in the foreground."""

from __future__ import annotations

import asyncio

import typer

from gateway.__main__ import serve


def gateway() -> None:
    """Run one gateway, which serves WebSocket and HTTP clients.

    Stops at SIGTERM or Ctrl-C. Needs REDIS_URL; HOST and PORT say where it listens.
    """
    raise typer.Exit(asyncio.run(serve()))
