"""Commands that cost the gateway more than the client: floats, long lists, many different subscriptions."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

from benchmarks.attacks.crowd import Attack, Crowd
from benchmarks.attacks.wire import BINARY, Peer, frame
from shared.catalog import SERVICES

_LARGEST = 8192  # bytes of a message that the gateway accepts
_RATE = 0.055  # s between commands: 18 per second, and 20 are allowed
_HARD_FLOAT = "2.2250738585072011e-308"  # where a parser has to use long arithmetic
_PACKED = "Sec-WebSocket-Protocol: msgpack"


def ping_of(data: str, size: int) -> bytes:
    """A ping that carries a list of `data`, of about `size` bytes."""
    head, tail = '{"action":"ping","data":[', "]}"
    return frame(head + ",".join([data] * ((size - len(head) - len(tail)) // (len(data) + 1))) + tail)


def packed_ping(item: bytes, size: int) -> bytes:
    """The same in MessagePack."""
    head = b"\x82\xa6action\xa4ping\xa4data\xdc"
    count = (size - len(head) - 2) // len(item)
    return frame(head + count.to_bytes(2, "big") + item * count, BINARY)


def repeated(
    command: bytes, *headers: str, count: int, pause: float, path: str = "/ws/data"
) -> Callable[[Crowd], Awaitable[None]]:
    """Each connection sends `command` every `pause` seconds; those that are closed connect again."""

    async def run(crowd: Crowd) -> None:
        async def one(peer: Peer) -> None:
            while True:
                await peer.send(command)
                await asyncio.sleep(pause)

        await crowd.persist(count, one, path, *headers)

    return run


def _subscription(names: list[str]) -> bytes:
    return frame(json.dumps({"action": "subscribe", "service": names}))


def _sets(crowds: int) -> Callable[[Crowd], Awaitable[None]]:
    """Every connection of every crowd subscribes to another set of the services."""
    services = sorted(SERVICES)

    async def run(crowd: Crowd) -> None:
        async def one(_: int) -> None:
            peer = await crowd.join()
            if peer is not None:
                chosen = [name for name in services if random.random() < 0.5] or services
                await peer.send(_subscription(chosen))

        await crowd.until_end([crowd.gather(crowd.affordable(4096 // crowds), one)])
        await crowd.rest()

    return run


async def _changing_sets(crowd: Crowd) -> None:
    """Subscribe to another set with every command, as often as allowed."""
    services = sorted(SERVICES)
    unsubscribe = frame('{"action":"unsubscribe","service":"all"}')

    async def one(peer: Peer) -> None:
        while True:
            await peer.send(unsubscribe + _subscription(random.sample(services, 6)))
            await asyncio.sleep(2 * _RATE)

    await crowd.persist(200, one)


_LONG_LIST = frame('{"action":"subscribe","service":[' + ",".join(['"whale_tracking"'] * 470) + "]}")

ATTACKS = (
    Attack(
        "floats, 64 KiB",
        "20 connections send 64 KiB of floats that are hard to parse, as often as 20 commands per second",
        repeated(ping_of(_HARD_FLOAT, 65_000), count=20, pause=_RATE),
    ),
    Attack(
        "floats, 8 KiB, lawful",
        "200 connections send 8 KiB of them only as often as the limit of commands allows",
        repeated(ping_of(_HARD_FLOAT, _LARGEST), count=200, pause=8 * _RATE),
    ),
    Attack(
        "packed, 8 KiB",
        "20 MessagePack connections send 8 KiB of empty maps",
        repeated(packed_ping(b"\x80", _LARGEST), _PACKED, count=20, pause=_RATE),
    ),
    Attack(
        "long lists",
        "50 connections subscribe with 8 KiB of names",
        repeated(_LONG_LIST, count=50, pause=_RATE),
    ),
    Attack(
        "wrong commands",
        "100 connections send 2,000 wrong commands per second each",
        repeated(frame('{"action":"x"}') * 20, count=100, pause=0.01),
    ),
    Attack(
        "status, lawful",
        "300 connections ask for their status as often as allowed",
        repeated(frame('{"action":"get_status"}'), count=300, pause=_RATE),
    ),
    Attack(
        "snapshots, lawful",
        "100 connections subscribe to all as often as allowed, and read what comes each time",
        repeated(frame('{"action":"subscribe","service":"all"}'), count=100, pause=_RATE),
    ),
    Attack("4,096 sets of services", "4,096 connections, each subscribed to another set", _sets(2), 9.0, 2),
    Attack("changing sets", "200 connections change their set of services as often as allowed", _changing_sets),
)
