"""Floods of frames that cost the attacker little: control frames, fragments, empty messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.attacks.crowd import Attack, Crowd, pulse
from benchmarks.attacks.wire import PING, PONG, TEXT, Peer, close, frame

_BLOCK = 16_384  # bytes in one go
_EVERY = 2.0  # s between pulses: 300 connections with 16 KiB each are then 20 Mbit/s


def block(unit: bytes) -> bytes:
    """Sixteen KiB of `unit`."""
    return unit * (_BLOCK // len(unit))


def pulses(unit: bytes, first: bytes = b"", *, count: int = 300) -> Callable[[Crowd], Awaitable[None]]:
    """All connections send a block at the same moment; those that are closed connect again."""
    data = block(unit)

    async def run(crowd: Crowd) -> None:
        async def one(peer: Peer) -> None:
            await peer.send(first)
            while True:
                await pulse(_EVERY)
                await peer.send(data)

        await crowd.persist(count, one)

    return run


def streams(unit: bytes, first: bytes = b"", *, count: int, mbit: float) -> Callable[[Crowd], Awaitable[None]]:
    """Each connection sends `mbit` Mbit/s, as long as the gateway takes it; those that are closed connect again."""
    data = block(unit)
    pause = len(data) * 8 / (mbit * 1e6)

    async def run(crowd: Crowd) -> None:
        async def one(peer: Peer) -> None:
            await peer.send(first)
            while True:
                await peer.send(data)
                await asyncio.sleep(pause)

        await crowd.persist(count, one)

    return run


async def _after_close(crowd: Crowd) -> None:
    """Send a close, then go on sending: what comes after a close has to be dropped without being looked at."""
    data = block(frame(b"{}"))

    async def one(peer: Peer) -> None:
        peer.polite = False
        await peer.send(close(1000))
        while peer.lost is None:
            peer.transport.write(data)
            await peer.written()
            await asyncio.sleep(0.01)

    await crowd.persist(50, one)


async def _single_bytes(crowd: Crowd) -> None:
    """Send frames byte by byte, so that each costs the gateway a read."""
    data = frame(b"x" * 100, PONG)

    async def one(peer: Peer) -> None:
        while True:
            for at in range(len(data)):
                await peer.send(data[at : at + 1])
                await asyncio.sleep(0.002)

    await crowd.persist(100, one)


_PONG, _PING = frame(b"", PONG), frame(b"", PING)
_EMPTY_PART, _PART, _BEGIN = frame(b"", 0, fin=False), frame(b"  ", 0, fin=False), frame(b"{", TEXT, fin=False)

ATTACKS = (
    Attack("pongs, in pulses", "300 connections send 16 KiB of pongs at the same moment, every 2 s", pulses(_PONG)),
    Attack("pings, in pulses", "the same with pings", pulses(_PING)),
    Attack("empty fragments, in pulses", "the same with empty parts of a message", pulses(_EMPTY_PART, _BEGIN)),
    Attack("pongs, steady", "30 connections send 10 Mbit/s of pongs each", streams(_PONG, count=30, mbit=10)),
    Attack("endless message", "100 connections send a message in parts of 2 bytes", pulses(_PART, _BEGIN, count=100)),
    Attack("empty messages", "30 connections send 10 Mbit/s of empty texts each", streams(frame(), count=30, mbit=10)),
    Attack("single bytes", "100 connections send 500 segments of 1 byte per second each", _single_bytes),
    Attack("data after a close", "50 connections close, and go on sending", _after_close),
)
