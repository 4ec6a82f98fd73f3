"""Connections that never become WebSockets, or become one after another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from benchmarks.attacks.crowd import Attack, Crowd
from benchmarks.attacks.wire import upgrade

_BEGUN = b"GET /ws/all HTTP/1.1\r\nHost: a\r\nX-"


async def _slow(crowd: Crowd) -> None:
    """Say nothing, half a handshake, or a byte per second of one."""
    data = upgrade("/ws/all")

    async def one(number: int) -> None:
        peer = await crowd.dial()
        if peer is None:
            return
        if number % 3 == 1:
            await peer.send(_BEGUN)
        at = 0
        while number % 3 == 2 and at < len(data) - 1:
            await peer.send(data[at : at + 1])
            at += 1
            await asyncio.sleep(1.0)
        await peer.ended.wait()

    await crowd.until_end([crowd.gather(900, one, width=900)])


async def _endless_head(crowd: Crowd) -> None:
    """Send headers for ever."""
    lines = b"a:b\r\n" * 3000

    async def one(number: int) -> None:
        while crowd.left > 0:
            peer = await crowd.dial()
            if peer is None:
                return
            with contextlib.suppress(ConnectionError):
                await peer.send(_BEGUN)
                while peer.lost is None and peer.status is None:
                    await peer.send(b"y" * 15_000 if number % 2 else lines)
            peer.reset()
            await asyncio.sleep(0.02)

    await crowd.until_end([crowd.gather(40, one)])


def _storm(clients: int) -> Callable[[Crowd], Awaitable[None]]:
    """Connect all at once, leave all at once, again."""

    async def run(crowd: Crowd) -> None:
        count = crowd.affordable(clients)

        async def one(_: int) -> None:
            await crowd.join("/ws/all")

        while crowd.left > 1:
            before = len(crowd.peers)
            await crowd.until_end([crowd.gather(count, one, width=count)])
            await asyncio.sleep(min(1.0, max(crowd.left, 0)))
            for peer in crowd.peers[before:]:
                crowd.tally["handshakes" if peer.status == 101 else "without a handshake"] += 1
                peer.reset()

    return run


async def _churn(crowd: Crowd) -> None:
    """Connect, and leave with a RST, in 100 lanes without a pause."""

    async def lane() -> None:
        while crowd.left > 0:
            peer = await crowd.join("/ws/all")
            crowd.tally["handshakes"] += peer is not None
            if peer is not None:
                peer.reset()
                crowd.peers.remove(peer)

    await crowd.until_end(lane() for _ in range(100))


async def _resets(crowd: Crowd) -> None:
    """Reset connections right after their request, before any answer."""
    data = upgrade("/ws/all")

    async def lane() -> None:
        while crowd.left > 0:
            peer = await crowd.dial()
            if peer is not None:
                peer.transport.write(data)
                await asyncio.sleep(0)
                peer.reset()
                crowd.peers.remove(peer)
                crowd.tally["connections"] += 1
                await asyncio.sleep(0.005)

    await crowd.until_end(lane() for _ in range(30))


async def _half_closed(crowd: Crowd) -> None:
    """Shake hands, then close the sending half and go on reading."""

    async def one(_: int) -> None:
        peer = await crowd.join("/ws/all")
        if peer is not None:
            peer.transport.write_eof()
            await peer.ended.wait()

    await crowd.until_end([crowd.gather(500, one)])
    await crowd.rest()


ATTACKS = (
    Attack("slow handshakes", "900 connections say nothing, half a handshake, or a byte per second", _slow, 12.0),
    Attack("endless heads", "40 connections send headers without end", _endless_head),
    Attack(
        "reconnect storm", "2,000 clients connect at once, stay a second, and are gone at once", _storm(1000), 8.0, 2
    ),
    Attack("connect and leave", "100 clients connect and leave without a pause", _churn),
    Attack("resets", "30 clients send a handshake and reset the connection", _resets),
    Attack("half-closed", "500 clients close the sending half of their connection", _half_closed),
)
