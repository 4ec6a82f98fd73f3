"""Clients that make the gateway keep things: they read nothing, or little, or late."""

from __future__ import annotations

import asyncio
import json

from benchmarks.attacks.commands import ping_of
from benchmarks.attacks.crowd import Attack, Crowd
from benchmarks.attacks.wire import PING, Peer, frame

_SMALL = 4096  # bytes of a receive window: what is not read stays with the gateway
_SLOW = 60_000  # bytes per second of a client that reads steadily
_SIP = 3000  # bytes per read of such a client


async def _unread_pongs(crowd: Crowd) -> None:
    """Have 8 KiB echoed as often as allowed, and 125 bytes by frames of WebSocket; read nothing."""
    large, small = ping_of('"x"', 8192), frame(b"p" * 125, PING)

    async def one(peer: Peer) -> None:
        peer.stop_reading()
        while True:
            await peer.send(large + small)
            await asyncio.sleep(0.42)

    await crowd.attack(await crowd.joined(100, window=_SMALL, polite=False), one)


async def _unread_updates(crowd: Crowd) -> None:
    """Subscribe to everything as often as allowed, and read nothing."""

    async def one(peer: Peer) -> None:
        peer.stop_reading()
        while True:
            await peer.send(frame('{"action":"subscribe","service":"all"}'))
            await asyncio.sleep(0.055)

    await crowd.attack(await crowd.joined(100, window=_SMALL, polite=False), one)


async def _stalled(crowd: Crowd) -> None:
    """Have more sent than the kernel takes, then leave every service: nothing more comes, and nothing is read."""
    fill = frame('{"action":"subscribe","service":"market_data"}') * 30

    async def one(peer: Peer) -> None:
        peer.stop_reading()
        await peer.send(fill + frame('{"action":"unsubscribe","service":"all"}'))
        await crowd.rest()

    await crowd.attack(await crowd.joined(100, window=_SMALL, polite=False), one)


async def _slow(crowd: Crowd) -> None:
    """Ask for 4 MB of missed updates, and read 60 kB/s."""
    epoch, seq = crowd.target.positions["market_data"]
    since = {"epoch": epoch, "seq": max(0, seq - 400)}
    command = frame(json.dumps({"action": "subscribe", "service": "market_data", "since": since}))

    async def one(peer: Peer) -> None:
        await peer.send(command + frame('{"action":"unsubscribe","service":"all"}'))
        peer.sip(_SIP)
        while peer.lost is None:
            await asyncio.sleep(_SIP / _SLOW)
            peer.read_on()

    await crowd.attack(await crowd.joined(20, "/ws/data?meta=1", window=16_384), one)


async def _trickle(crowd: Crowd) -> None:
    """Subscribe to everything, and read a few bytes per second: never stalled, never done."""

    async def one(peer: Peer) -> None:
        await peer.send(frame('{"action":"subscribe","service":"all"}'))
        peer.sip(100)
        while peer.lost is None:
            await asyncio.sleep(0.5)
            peer.read_on()

    await crowd.attack(await crowd.joined(100, "/ws/data", window=_SMALL, polite=False), one)


ATTACKS = (
    Attack("unread pongs", "100 connections have 8 KiB echoed as often as allowed, and never read", _unread_pongs, 6.0),
    Attack("unread updates", "100 connections subscribe to all, again and again, and never read", _unread_updates, 6.0),
    Attack(
        "stalled", "100 connections read nothing while something waits for them, and nothing new comes", _stalled, 16.0
    ),
    Attack("trickling readers", "100 connections subscribed to all read 200 bytes per second", _trickle, 8.0),
    Attack(
        "slow readers",
        "20 connections read 4 MB of missed updates at a steady 60 kB/s; they must not be closed",
        _slow,
        10.0,
        env={"WS_PING_INTERVAL": "2", "WS_PING_TIMEOUT": "3"},
        lawful=True,
    ),
)
