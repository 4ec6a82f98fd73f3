"""A client that stays connected: prints updates, reconnects with backoff, and misses nothing while the history lasts.

    python examples/python_client.py ws://127.0.0.1:7860/ws/market_data
    python examples/python_client.py ws://127.0.0.1:7860/ws --subscribe market_data news --updates 10

Needs the `websockets` package and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before the next attempt; doubles, with jitter


class Client:
    """Keeps the position of each service's last update across connections."""

    def __init__(self, url: str, services: list[str], updates: int | None) -> None:
        self.url = url + ("&" if "?" in url else "?") + "meta=1"  # updates then carry their position
        self.services = services
        self.left = updates
        self.positions: dict[str, dict[str, Any]] = {}  # service: {"epoch": …, "seq": …} of the last update seen
        self.recovering: set[str] = set()

    async def run(self) -> None:
        """Connect and reconnect until enough updates have come; by default without end."""
        pause = FIRST_PAUSE
        while self.left is None or self.left > 0:
            try:
                async with connect(self.url) as socket:
                    pause = FIRST_PAUSE
                    await self.greet(socket)
                    async for text in socket:
                        self.take(json.loads(text))
                        if self.left == 0:
                            return
                reason = "closed by the server"
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
                reason = str(error)
            print(f"disconnected: {reason}", flush=True)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def greet(self, socket: ClientConnection) -> None:
        """Subscribe: to services seen before from their last position on, to others from now on."""
        self.recovering = set(self.positions)
        for service, position in self.positions.items():
            await socket.send(json.dumps({"action": "subscribe", "service": service, "since": position, "id": service}))
        new = [service for service in self.services if service not in self.positions]
        if new:
            await socket.send(json.dumps({"action": "subscribe", "service": new}))

    def take(self, message: dict[str, Any]) -> None:
        """Handle one message of the server."""
        service, kind, data = message["service"], message["type"], message["data"]
        if kind == "connection_established":
            print(f"connected as {data['client_id']}", flush=True)
        elif kind == "error":
            print(f"error: {data['message']}", flush=True)
        elif kind == "subscription_confirmed" and data.get("id") in self.recovering:
            self.recovering.discard(data["id"])
            if not data.get("recovered"):
                print(f"{data['id']}: some updates are lost", flush=True)
        elif kind == "update" and service not in self.recovering:  # before the confirmation; the replay sends it again
            self.update(service, data, message["meta"])

    def update(self, service: str, data: dict[str, Any], meta: dict[str, Any]) -> None:
        """Handle one update; each comes once and in order. Your own code goes here."""
        known = self.positions.get(service)
        if known and known["epoch"] == meta["epoch"] and meta["seq"] <= known["seq"]:
            return
        self.positions[service] = {"epoch": meta["epoch"], "seq": meta["seq"]}
        figures = data.get("prices") or {name: value for name, value in data.items() if name != "timestamp"}
        first = ", ".join(f"{name} {shortened(value)}" for name, value in list(figures.items())[:3])
        print(f"update {service} #{meta['seq']}: {first}", flush=True)
        if self.left is not None:
            self.left -= 1


def shortened(value: Any) -> str:
    """A value in a few characters: a number, the beginning of a text, or the length of a list or map."""
    if isinstance(value, list | dict):
        return f"({len(value)})"
    return f"{value:,}" if isinstance(value, int | float) else str(value)[:24]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="ws://127.0.0.1:7860/ws/market_data")
    parser.add_argument("--subscribe", nargs="+", default=[], metavar="SERVICE", help="services to subscribe to")
    parser.add_argument("--updates", type=int, help="exit after this many updates")
    options = parser.parse_args()
    asyncio.run(Client(options.url, options.subscribe, options.updates).run())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
