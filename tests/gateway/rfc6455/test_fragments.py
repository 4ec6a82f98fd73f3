"""Autobahn's groups 5, 9 and 10: fragments, and how large a message may become."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.gateway.rfc6455.cases import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Case,
    close,
    echo,
    error,
    fragments,
    frame,
    judge,
    packed,
    pieces,
    ping,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_errors")]

HELLO = ping("fragment1fragment2")
HALF = len(HELLO) // 2
FIRST, SECOND = fragments([HELLO[:HALF], HELLO[HALF:]])
ECHO = [echo(HELLO)]


def interleaved(parts: Sequence[bytes], between: Sequence[bytes]) -> list[bytes]:
    """The frames of a message with one more frame after each but the last."""
    sent = [frame for pair in zip(parts, between, strict=False) for frame in pair]
    return [*sent, *parts[len(between) :]]


async def test_a_fragmented_control_frame_is_1002(port: int) -> None:
    """5.1 and 5.2: pings, pongs and closes come whole."""
    kinds = {"5.1 ping": PING, "5.2 pong": PONG, "close": CLOSE}
    await judge(
        port,
        [
            *(
                Case(f"{name} in two parts", [frame(b"\x03\xe8", each, fin=False), frame(b"", CONT)], close=1002)
                for name, each in kinds.items()
            ),
            *(
                Case(f"{name} in a message", [FIRST, frame(b"", each, fin=False)], close=1002)
                for name, each in kinds.items()
            ),
        ],
    )


async def test_the_parts_of_a_message_are_one_message(port: int) -> None:
    """5.3 to 5.5: in two parts, in parts of one byte, with empty parts anywhere."""
    pack = packed(60)
    await judge(
        port,
        [
            Case("5.3 two parts", [FIRST, SECOND], ECHO),
            *(Case(f"parts of {n}", fragments(pieces(HELLO, n)), ECHO) for n in (1, 2, 3, 7, 20)),
            *(Case(f"{n} and the rest", fragments([HELLO[:n], HELLO[n:]]), ECHO) for n in range(len(HELLO) + 1)),
            Case("empty parts", fragments([b"", b"", HELLO[:HALF], b"", HELLO[HALF:], b"", b""]), ECHO),
            Case("nothing but empty parts", fragments([b"", b"", b""]), [error("invalid_json")]),
            Case("two messages", fragments(pieces(HELLO, 9)) * 2, ECHO * 2),
            Case("MessagePack", fragments(pieces(pack, 1), BINARY), [echo(pack)], subprotocol="msgpack"),
            Case("binary to JSON", fragments(pieces(pack, 7), BINARY), [error("binary_not_supported")]),
        ],
    )


async def test_control_frames_may_come_between_the_parts(port: int) -> None:
    """5.6 to 5.8, 5.19 and 5.20: pings are answered, the message is unharmed."""
    parts = fragments(pieces(HELLO, len(HELLO) // 5 + 1))
    payloads = [b"pongme %d!" % n for n in range(len(parts) - 1)]
    pings = [frame(each, PING) for each in payloads]
    octets = fragments(pieces(HELLO, 1))
    await judge(
        port,
        [
            Case("5.6 to 5.8 one ping", [FIRST, frame(b"ping", PING), SECOND], ECHO, [b"ping"]),
            Case("an empty ping", [FIRST, frame(b"", PING), SECOND], ECHO, [b""]),
            Case("a pong", [FIRST, frame(b"pong", PONG), SECOND], ECHO),
            Case("5.19 and 5.20 five parts", interleaved(parts, pings), ECHO, payloads),
            Case("twice", [*interleaved(parts, pings), *interleaved(parts, pings)], ECHO * 2, payloads * 2),
            Case("many", interleaved(octets, [frame(b"x", PING)] * 20), ECHO, [b"x"] * 20),
        ],
    )


async def test_a_close_between_the_parts_is_a_close(port: int) -> None:
    """The message is never finished, and has no answer."""
    await judge(
        port,
        [
            Case("code", [FIRST, close(1001), SECOND], close=1001),
            Case("no code", [FIRST, close(None)], close=1005),
            Case("a bad code", [FIRST, close(1005)], close=1002),
        ],
    )


async def test_a_part_of_nothing_is_1002(port: int) -> None:
    """5.9 to 5.14, 5.16 and 5.17: a continuation where no message has begun."""
    cases = []
    for fin in (True, False):
        for payload in (b"non-continuation payload", b""):
            sent = [frame(payload, CONT, fin=fin), frame(HELLO)]
            cases.append(Case(f"5.9 to 5.14 fin {fin}, {len(payload)} bytes", sent, close=1002))
        repeated = [frame(b"fragment1", CONT, fin=fin), FIRST, SECOND] * 2
        cases.append(Case(f"5.16 and 5.17 fin {fin}", repeated, close=1002))
    await judge(port, cases)


async def test_a_part_after_the_last_is_1002(port: int) -> None:
    """5.15: the message before is answered, the part behind it continues nothing."""
    after = [frame(b"fragment3", CONT, fin=False), frame(b"fragment4", TEXT)]
    await judge(port, [Case("5.15", [FIRST, SECOND, *after], ECHO, close=1002)])


async def test_a_message_within_a_message_is_1002(port: int) -> None:
    """5.18: a text or a binary message begins before the one before is finished."""
    await judge(
        port,
        [
            Case(f"{name}, fin {fin}", [FIRST, frame(HELLO, each, fin=fin)], close=1002)
            for name, each in (("5.18 text", TEXT), ("binary", BINARY))
            for fin in (True, False)
        ],
    )


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_may_have_8_kib_in_parts_of_any_size(port: int, opcode: int) -> None:
    """9 and 10: parts are counted together; the part that is over 8 KiB ends the connection with 1009."""
    subprotocol = "msgpack" if opcode == BINARY else None
    whole = packed(8192) if opcode == BINARY else ping(size=8192)
    cases = []
    for size in (64, 256, 1000, 1300, 4096, 8191):
        parts = fragments(pieces(whole, size), opcode)
        cases.append(Case(f"9 and 10 8 KiB in parts of {size}", parts, [echo(whole)], subprotocol=subprotocol))
        longer = fragments(pieces(whole + b" ", size), opcode)
        cases.append(Case(f"9 one byte more in parts of {size}", longer, close=1009, subprotocol=subprotocol))
    endless = [frame(b"x" * 1000, opcode, fin=False), *[frame(b"x" * 1000, CONT, fin=False)] * 200]
    cases.append(Case("a message without an end", endless, close=1009, subprotocol=subprotocol))
    await judge(port, cases)


async def test_control_frames_count_for_no_message(port: int) -> None:
    """8 KiB of pings between the parts of 8 KiB make no message too large."""
    whole, payload = ping(size=8192), b"*" * 125
    sent = interleaved(fragments(pieces(whole, 100)), [frame(payload, PING)] * 70)
    await judge(port, [Case("9", sent, [echo(whole)], [payload] * 70)])
