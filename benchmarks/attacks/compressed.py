"""permessage-deflate: small on the wire, large behind it."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Awaitable, Callable

from benchmarks.attacks.crowd import Attack, Crowd
from benchmarks.attacks.wire import Peer, frame

_OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
_ON = {"WS_COMPRESSION": "true"}


def deflated(data: bytes) -> bytes:
    """`data` as permessage-deflate has it."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def sending(*messages: bytes, count: int, pause: float) -> Callable[[Crowd], Awaitable[None]]:
    """Each connection sends one of the messages every `pause` seconds; those that are closed connect again."""

    async def run(crowd: Crowd) -> None:
        async def one(peer: Peer) -> None:
            while True:
                await peer.send(random.choice(messages))
                await asyncio.sleep(pause)

        await crowd.persist(count, one, "/ws/data", _OFFER)

    return run


def _damaged(number: int) -> bytes:
    rng = random.Random(number)
    data = bytearray(deflated(b'{"action":"ping","data":"' + rng.randbytes(50).hex().encode() + b'"}'))
    for _ in range(3):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return frame(bytes(data), compressed=True)


_PING = frame(deflated(b'{"action":"ping","data":"' + b"x" * 8000 + b'"}'), compressed=True)
_BOMB = frame(deflated(b" " * 64_000_000), compressed=True)

ATTACKS = (
    Attack("bombs", "50 clients send 64 KB that inflate to 64 MB", sending(_BOMB, count=50, pause=0.1), env=_ON),
    Attack(
        "small and compressed",
        "50 clients send pings of 8 KB in 40 bytes, 50 times per second",
        sending(_PING, count=50, pause=0.02),
        env=_ON,
    ),
    Attack(
        "empty and compressed",
        "30 clients send 16 KiB of empty compressed messages, over and over",
        sending(frame(b"\0", compressed=True) * 2000, count=30, pause=0.013),
        env=_ON,
    ),
    Attack(
        "damaged streams",
        "50 clients send what can't be inflated",
        sending(*map(_damaged, range(100)), count=50, pause=0.02),
        env=_ON,
    ),
    Attack(
        "compressed readers",
        "300 clients that negotiated compression subscribe to all, over and over, and read",
        sending(frame('{"action":"subscribe","service":"all"}'), count=300, pause=0.055),
        env=_ON,
    ),
)
