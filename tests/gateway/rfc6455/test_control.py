"""Autobahn's group 2: pings and pongs."""

from __future__ import annotations

import pytest

from tests.gateway.rfc6455.cases import PING, PONG, Case, echo, frame, judge, ping

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_errors")]

BINARY = bytes.fromhex("00fffefdfcfb00ff")
LONGEST = b"\xfe" * 125


async def test_a_ping_is_answered_with_its_payload(port: int) -> None:
    """2.1 to 2.4 and 2.6: empty, text, binary, up to 125 bytes."""
    payloads = {"2.1 empty": b"", "2.2 text": b"Hello, world!", "2.3 binary": BINARY, "2.4 and 2.6 125 bytes": LONGEST}
    await judge(port, [Case(name, [frame(each, PING)], pongs=[each]) for name, each in payloads.items()])


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_a_control_frame_over_125_bytes_is_1002(port: int, opcode: int) -> None:
    """2.5: already its header breaks the protocol (5.5)."""
    sizes = (126, 127, 1000, 8192)
    await judge(port, [Case(f"2.5 {size} bytes", [frame(bytes(size), opcode)], close=1002) for size in sizes])


async def test_a_pong_that_nobody_asked_for_is_ignored(port: int) -> None:
    """2.7 to 2.9: with and without payload, also before a ping or a message."""
    await judge(
        port,
        [
            Case("2.7 empty", [frame(b"", PONG)]),
            Case("2.8 with payload", [frame(b"unsolicited pong payload", PONG)]),
            Case("2.9 before a ping", [frame(b"unsolicited", PONG), frame(b"ping", PING)], pongs=[b"ping"]),
            Case("before a message", [frame(LONGEST, PONG), frame(ping())], [echo(ping())]),
        ],
    )


async def test_ten_pings_are_ten_pongs(port: int) -> None:
    """2.10 and 2.11: in their order, also where they arrive in one read; and a message among them."""
    payloads = [b"payload-%d" % n for n in range(10)]
    pings = [frame(each, PING) for each in payloads]
    await judge(
        port,
        [
            Case("2.10 and 2.11", pings, pongs=payloads),
            Case("with a message", [*pings[:5], frame(ping()), *pings[5:]], [echo(ping())], payloads),
        ],
    )
