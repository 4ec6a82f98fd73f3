"""Replays of missed updates: one command of a hundred bytes draws megabytes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

from benchmarks.attacks.crowd import Attack, Crowd
from benchmarks.attacks.wire import Peer, frame

_PATH = "/ws/data?meta=1"


def since(crowd: Crowd, service: str, back: int) -> bytes:
    """A subscribe that asks for the last `back` updates of `service`."""
    epoch, seq = crowd.target.positions[service]
    position = {"epoch": epoch, "seq": max(0, seq - back)}
    return frame(json.dumps({"action": "subscribe", "service": service, "since": position}))


def _herd(back: int, crowds: int, clients: int = 2000) -> Callable[[Crowd], Awaitable[None]]:
    """As after the loss of a gateway: everybody connects, and asks for what was missed."""

    async def run(crowd: Crowd) -> None:
        command, began = since(crowd, "news", back), time.monotonic()
        done: list[float] = []

        async def one(_: int) -> None:
            peer = await crowd.join(_PATH)
            if peer is None:
                return
            await peer.send(command)
            peer.expect(back)
            await peer.enough.wait()
            if peer.open:
                done.append(time.monotonic() - began)

        count = crowd.affordable(clients // crowds)
        await crowd.until_end([crowd.gather(count, one, width=count)])
        crowd.tally["replayed"] = len(done)
        if done:
            crowd.tally["last after ms"] = round(1000 * max(done))
        await crowd.rest()

    return run


def _greedy(count: int) -> Callable[[Crowd], Awaitable[None]]:
    """Ask for everything that is kept, as often as commands are allowed, and read it."""

    async def run(crowd: Crowd) -> None:
        command = since(crowd, "market_data", 900)

        async def one(peer: Peer) -> None:
            while True:
                await peer.send(command)
                await asyncio.sleep(0.055)

        await crowd.persist(count, one, _PATH)

    return run


async def _ahead(crowd: Crowd) -> None:
    """Ask for a position that is not reached yet: the gateway waits a while for it."""
    command = since(crowd, "market_data", -1_000_000)

    async def one(peer: Peer) -> None:
        while True:
            await peer.send(command)
            await asyncio.sleep(0.5)

    await crowd.persist(1000, one, _PATH)


ATTACKS = (
    Attack("herd, 60 missed", "2,000 clients connect at once and ask for 60 missed updates each", _herd(60, 2), 7.0, 2),
    Attack("herd, 200 missed", "the same with 200", _herd(200, 2), 8.0, 2),
    Attack("one greedy replayer", "1 client asks for 900 updates of 10 kB as often as allowed", _greedy(1)),
    Attack("20 greedy replayers", "20 clients do", _greedy(20)),
    Attack("positions ahead", "1,000 clients ask for what comes after a position that is not reached", _ahead),
)
