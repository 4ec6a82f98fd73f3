"""HTTP requests beside the WebSockets: many at once, heavy ones, and answers that nobody reads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from benchmarks.attacks.crowd import Attack, Crowd, pulse

_CHUNKED = b"POST /ws/stats HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def _get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def _requests(request: bytes, *, lanes: int, reading: bool = True) -> Callable[[Crowd], Awaitable[None]]:
    """Send the same request over and over on kept connections, many at once."""

    async def run(crowd: Crowd) -> None:
        async def lane(number: int) -> None:
            while crowd.left > 0:
                # As many clients on as many addresses of loopback: one address is logged once per minute.
                peer = await crowd.dial(address=f"127.0.{number}.{1 + len(crowd.peers) % 250}")
                if peer is None:
                    await asyncio.sleep(0.2)
                    continue
                if not reading:
                    peer.stop_reading()
                while peer.lost is None and crowd.left > 0:
                    await peer.send(request)
                    await asyncio.sleep(0.005)

        await crowd.until_end([crowd.gather(lanes, lane)])

    return run


def _pulses(data: bytes, count: int) -> Callable[[Crowd], Awaitable[None]]:
    """Send `data` on every connection at the same moment; those that are closed connect again."""

    async def run(crowd: Crowd) -> None:
        async def lane(_: int) -> None:
            while crowd.left > 0:
                peer = await crowd.dial()
                await pulse(1.0)
                if peer is not None and peer.lost is None:
                    await peer.send(data)

        await crowd.until_end([crowd.gather(count, lane, width=count)])

    return run


def _unread(path: str, count: int) -> Callable[[Crowd], Awaitable[None]]:
    """Ask for a page ten times on every connection, and read nothing."""

    async def run(crowd: Crowd) -> None:
        async def one(_: int) -> None:
            peer = await crowd.dial(window=4096)
            if peer is not None:
                peer.stop_reading()
                await peer.send(_get(path) * 10)

        await crowd.until_end([crowd.gather(crowd.affordable(count), one)])
        await crowd.rest()

    return run


ATTACKS = (
    Attack(
        "pipelined requests", "20 clients send 10 requests at once, over and over", _requests(_get("/x") * 10, lanes=20)
    ),
    Attack(
        "pipelined, in pulses", "200 clients send 16 KiB of requests at the same moment", _pulses(_get("/x") * 500, 200)
    ),
    Attack(
        "chunks, in pulses",
        "300 clients send 16 KiB of a body in chunks of 1 byte at the same moment",
        _pulses(_CHUNKED + b"1\r\na\r\n" * 2700, 300),
    ),
    Attack(
        "long queries, in pulses",
        "100 clients send a query of 60 KB at the same moment",
        _pulses(_get("/ws/stats?" + "a=1&" * 15_000), 100),
    ),
    Attack(
        "guides", "40 clients ask for a guide, over and over", _requests(_get("/docs/reference/protocol.md"), lanes=40)
    ),
    Attack("metrics", "40 clients ask for the metrics, over and over", _requests(_get("/metrics"), lanes=40)),
    Attack(
        "pages not read",
        "1,000 clients ask for the largest page ten times, and read nothing",
        _unread("/asyncapi.json", 1000),
    ),
    Attack("bad requests", "50 clients on many addresses send garbage", _requests(b"\x16\x03\x01 \r\n\r\n", lanes=50)),
)
