"""`python -m simulator --port N`: the simulator as a process, until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated

import typer

from simulator.app import Simulator
from simulator.server import running


def main(
    port: Annotated[int, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")] = 7870,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="another seed, another market")] = 1,
    coingecko_refresh: Annotated[
        float, typer.Option(min=0, help="seconds that CoinGecko's cache keeps its figures; 0 for always fresh")
    ] = 60.0,
) -> None:
    """Answer for the providers' hosts, chosen by the Host header, with simulated figures."""
    try:
        asyncio.run(_serve(Simulator(seed=seed, coingecko_refresh=coingecko_refresh), host, port))
    except OSError as error:
        typer.echo(f"cannot listen on {host} port {port}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None


async def _serve(simulator: Simulator, host: str, port: int) -> None:
    async with running(simulator, host, port) as server:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, server.stop)
        typer.echo(f"simulator listening on {server.url} for {len(simulator.hosts)} hosts")
        await server.serving


if __name__ == "__main__":
    typer.run(main)
