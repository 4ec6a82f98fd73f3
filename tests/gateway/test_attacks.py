"""Hostile clients beside an innocent one: they are closed with the right code, and it receives everything."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.contract.conftest import Cluster
from tests.gateway.raw import Raw, code_of, connect, dial, frame
from tests.gateway.transport.test_heads import ALIVE
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

PONG, PING = frame("", 10), frame("", 9)
BEGIN, EMPTY, TINY = frame("{", fin=False), frame("", 0, fin=False), frame("  ", 0, fin=False)
ATTACKERS, UPDATES = 20, 20


async def published(cluster: Cluster) -> list[int]:
    """What an innocent client receives of updates that are published while others attack."""
    innocent = await cluster.connect("/ws/data")
    await innocent.say(action="subscribe", service="news")
    for number in range(UPDATES):
        await cluster.publish("news", number=number)
    received: list[int] = []
    while len(received) < UPDATES:
        message = (await innocent.take(1))[0]
        if message["type"] == "update":
            received.append(message["data"]["number"])
    return received


@pytest.mark.parametrize(
    ("flood", "code"),
    [
        (PONG * 2730, 1008),
        (PING * 2730, 1008),
        (BEGIN + EMPTY * 2730, 1008),
        (BEGIN + TINY * 2000, 1008),
        (frame("") * 2730, 1008),
        (frame("x" * 9000), 1009),
    ],
    ids=["pongs", "pings", "empty fragments", "tiny fragments", "empty messages", "too big"],
)
@pytest.mark.slow
async def test_floods_are_closed_and_the_innocent_gets_everything(cluster: Cluster, flood: bytes, code: int) -> None:
    """Each of twenty connections that send 16 KiB at once; they read only the end."""
    async with contextlib.AsyncExitStack() as stack:
        port = cluster.nodes[0].port
        attackers: list[Raw] = [await stack.enter_async_context(connect(port)) for _ in range(ATTACKERS)]
        receiving = asyncio.create_task(published(cluster))
        await asyncio.gather(*(attacker.send(flood) for attacker in attackers))
        ends = await asyncio.gather(*(attacker.rest() for attacker in attackers))
        assert {code_of(frames[-1]) for frames in ends} == {code}
        assert await receiving == list(range(UPDATES))


async def test_floods_of_requests_end_and_the_innocent_gets_everything(cluster: Cluster) -> None:
    """Each of twenty connections that send hundreds of requests at once; afterwards nothing of them is left."""
    async with contextlib.AsyncExitStack() as stack:
        port = cluster.nodes[0].port
        attackers = [await stack.enter_async_context(dial(port)) for _ in range(ATTACKERS)]
        receiving = asyncio.create_task(published(cluster))
        await asyncio.gather(*(attacker.send(ALIVE * 300) for attacker in attackers))
        for attacker in attackers:
            with contextlib.suppress(EOFError, ConnectionResetError):
                while True:
                    await attacker._more()
        assert await receiving == list(range(UPDATES))
    await until(lambda: cluster.nodes[0].registry.get_sample_value("coinwire_gateway_http_connections") == 0)
