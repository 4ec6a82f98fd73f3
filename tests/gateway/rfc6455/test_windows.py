"""Autobahn's groups 12 and 13 as far as the gateway compresses: every window, with and without memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.settings import Settings
from tests.contract.conftest import Cluster, running
from tests.gateway.inflating import decoded
from tests.gateway.raw import Raw, dial, frame, upgrade

pytestmark = pytest.mark.usefixtures("no_errors")

WORDS = ("bitcoin", "ethereum", "market_cap", "volume", "price", "change", "Ξ", "₿")


@dataclass
class Window:
    """A client, what it offers, and what it has received."""

    offer: str | None
    answer: str | None
    bits: int = 15
    takeover: bool = True
    raw: Raw | None = None
    wire: list[bytes] = field(default_factory=list)

    async def connect(self, stack: contextlib.AsyncExitStack, port: int) -> None:
        """Open the connection, and check what was agreed."""
        self.raw = await stack.enter_async_context(dial(port))
        await self.raw.send(upgrade("/ws/all", *([f"Sec-WebSocket-Extensions: {self.offer}"] if self.offer else [])))
        head = await self.raw.head()
        assert head.startswith("HTTP/1.1 101 ")
        lines = [line.partition(": ") for line in head.splitlines()]
        found = [value for name, _, value in lines if name.lower() == "sec-websocket-extensions"]
        assert found == ([self.answer] if self.answer else [])

    async def read(self, number: int) -> None:
        """Read until a ping is answered: every update that was broadcast before has come then."""
        assert self.raw is not None
        await self.raw.send(frame(json.dumps({"action": "ping", "id": number})))
        answer = b'"type":"pong","data":{"id":%d}' % number
        while not self.wire or answer not in self.wire[-1]:
            self.wire.append(b"".join(await self.raw.whole()))

    @property
    def updates(self) -> list[bytes]:
        """The updates that its inflater makes of it."""
        messages = decoded(b"".join(self.wire), self.bits, takeover=self.takeover)
        return [message for message in messages if json.loads(message)["type"] == "update"]

    @property
    def size(self) -> int:
        """Bytes received."""
        return sum(map(len, self.wire))


def windows() -> list[Window]:
    """Every window that there is, with and without memory, what browsers offer, and no compression."""
    found = [Window(None, None), Window("permessage-deflate; server_max_window_bits=8", None)]
    ours = "client_no_context_takeover"
    found.append(Window("permessage-deflate", f"permessage-deflate; {ours}"))
    found.append(Window("permessage-deflate; client_max_window_bits", f"permessage-deflate; {ours}"))
    forgets = "permessage-deflate; server_no_context_takeover"
    found.append(Window(forgets, f"{forgets}; {ours}", takeover=False))
    for bits in range(9, 16):
        asked = f"permessage-deflate; server_max_window_bits={bits}"
        found.append(Window(asked, f"{asked}; {ours}", bits))
        both = f"{asked}; server_no_context_takeover"
        found.append(Window(f"{both}, permessage-deflate", f"{both}; {ours}", bits, takeover=False))
    return found


def figures(chance: random.Random) -> dict[str, Any]:
    """Data of any size up to three windows, some of it like what came before."""
    size = chance.choice([0, 1, 10, 100, 100, 300, 300, 2000])
    return {f"{chance.choice(WORDS)} {n}": round(chance.random(), chance.choice([1, 15])) for n in range(size)}


async def burst(cluster: Cluster, chance: random.Random) -> None:
    """Some updates at once, of several services."""
    services = [chance.choice(("news", "market_data", "sentiment")) for _ in range(chance.randrange(1, 8))]
    await asyncio.gather(*(cluster.bus.publish(service, figures(chance)) for service in services))
    for service in set(services):
        await cluster.publish(service, **figures(chance))


@pytest.mark.slow  # it compresses for every window
async def test_every_window_receives_the_same_updates(settings: Settings) -> None:
    """Each client's own inflater, of the window that was agreed, makes of it what a plain client receives.

    Half of them come when half of the updates were published, as clients do that join a stream late.
    """
    chance = random.Random(7692)
    settings = settings.model_copy(update={"ws_compression": True})
    async with running(settings, heartbeat=3600) as cluster, contextlib.AsyncExitStack() as stack:
        early, late = windows(), windows()
        for window in early:
            await window.connect(stack, cluster.nodes[0].port)
        for number in range(6):
            await burst(cluster, chance)
            await asyncio.gather(*(window.read(number) for window in early))
        for window in late:
            await window.connect(stack, cluster.nodes[0].port)
        for number in range(6, 12):
            await burst(cluster, chance)
            await asyncio.gather(*(window.read(number) for window in early + late))
    for plain, _declined, *others in (early, late):
        expected = plain.updates
        assert len(expected) > 20
        for window in others:
            assert window.updates == expected, window.offer
            assert window.size < plain.size / 1.5, window.offer
        assert _declined.updates == expected
