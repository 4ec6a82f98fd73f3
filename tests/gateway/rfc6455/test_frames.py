"""Autobahn's groups 1, 3 and 4: lengths, masks, reserved bits and opcodes."""

from __future__ import annotations

import msgpack
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
    frame,
    judge,
    packed,
    ping,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_errors")]

SIZES = (125, 126, 127, 128, 255, 256, 1000, 8191, 8192)
TOO_LARGE = (8193, 65_535, 65_536)  # the limit is 8 KiB per message: the protocol's reference, "Limits"
HELLO = ping()


async def test_texts_of_every_length_are_echoed(port: int) -> None:
    """1.1: the answer has the same data, up to 8 KiB; beyond, the connection ends with 1009."""
    await judge(
        port,
        [
            Case("1.1.1 an empty text", [frame()], [error("invalid_json")]),
            *(Case(f"1.1 {size} bytes", [frame(ping(size=size))], [echo(ping(size=size))]) for size in SIZES),
            *(Case(f"1.1 {size} bytes", [frame(ping(size=size))], close=1009) for size in TOO_LARGE),
            Case("1.1 two in a row", [frame(ping("1")), frame(ping("2"))], [echo(ping("1")), echo(ping("2"))]),
        ],
    )


async def test_binary_messages_of_every_length_are_echoed(port: int) -> None:
    """1.2: the same in MessagePack."""
    await judge(
        port,
        [
            Case("1.2.1 empty", [frame(b"", BINARY)], [error("invalid_msgpack")], subprotocol="msgpack"),
            *(
                Case(f"1.2 {size} bytes", [frame(packed(size), BINARY)], [echo(packed(size))], subprotocol="msgpack")
                for size in SIZES
            ),
            *(
                Case(f"1.2 {size} bytes", [frame(bytes(size), BINARY)], close=1009, subprotocol="msgpack")
                for size in TOO_LARGE
            ),
            Case(
                "1.2 a string that is no UTF-8 is no matter of the frame",
                [
                    frame(
                        msgpack.packb({"action": "ping", "data": {"x": b"*"}}).replace(b"\xc4\x01*", b"\xa1\xff"),
                        BINARY,
                    )
                ],
                [error("invalid_msgpack")],
                subprotocol="msgpack",
            ),
        ],
    )


async def test_a_message_of_the_other_kind_is_an_error_and_the_connection_stays(port: int) -> None:
    """Binary messages on a JSON connection, texts on a MessagePack connection: of any length up to 8 KiB."""
    json, msgpack = [error("binary_not_supported")], [error("text_not_supported")]
    await judge(
        port,
        [
            *(Case(f"{size} to JSON", [frame(bytes(size), BINARY)], json) for size in (0, *SIZES)),
            *(Case(f"{size} to JSON", [frame(bytes(size), BINARY)], close=1009) for size in TOO_LARGE),
            *(Case(f"{n} to MessagePack", [frame(b"x" * n)], msgpack, subprotocol="msgpack") for n in (0, *SIZES)),
        ],
    )


async def test_a_length_may_be_encoded_in_more_bytes_than_needed(port: int) -> None:
    """RFC 6455, 5.2 forbids it to senders, and asks receivers for nothing: it is understood."""
    forms = (126, 127)
    await judge(
        port,
        [
            *(Case(f"text, {form}", [frame(HELLO, form=form)], [echo(HELLO)]) for form in forms),
            *(Case(f"empty text, {form}", [frame(form=form)], [error("invalid_json")]) for form in forms),
            Case("300 bytes in 8", [frame(ping(size=300), form=127)], [echo(ping(size=300))]),
            *(Case(f"ping, {form}", [frame(b"x", PING, form=form)], pongs=[b"x"]) for form in forms),
        ],
    )


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_length_of_63_bits_and_more_is_too_large(port: int, opcode: int) -> None:
    """1009 at the header: nothing of what is announced is waited for. The highest bit must be 0 (5.2)."""
    head = bytes([0x80 | opcode, 0xFF])
    sizes = (1 << 63, (1 << 64) - 1, (1 << 63) - 1, 1 << 32, 8193)
    await judge(port, [Case(f"{n:x}", [head + n.to_bytes(8, "big") + bytes(4)], close=1009) for n in sizes])


async def test_any_mask_is_taken_off(port: int) -> None:
    """Zero, ones, the bytes of the text itself."""
    masks = (bytes(4), b"\xff" * 4, b'{"ac', b"\0\0\0\1")
    await judge(port, [Case(mask.hex(), [frame(HELLO, mask=mask)], [echo(HELLO)]) for mask in masks])


async def test_a_frame_without_a_mask_is_1002(port: int) -> None:
    """A server ends the connection (5.1), whatever the frame."""
    kinds = {"text": TEXT, "binary": BINARY, "continuation": CONT, "close": CLOSE, "ping": PING, "pong": PONG}
    await judge(
        port,
        [
            *(Case(f"empty {kind}", [frame(b"", opcode, mask=b"")], close=1002) for kind, opcode in kinds.items()),
            *(Case(kind, [frame(b"\x03\xe8{}", opcode, mask=b"")], close=1002) for kind, opcode in kinds.items()),
            Case("the second part", [frame(HELLO, fin=False), frame(b"", CONT, mask=b"")], close=1002),
        ],
    )


async def test_a_reserved_bit_is_1002(port: int) -> None:
    """3.1 to 3.7: on every kind of frame, for no extension was negotiated; nothing after it is answered."""
    kinds = {"text": TEXT, "binary": BINARY, "ping": PING, "pong": PONG, "close": CLOSE}
    bits = range(1, 8)
    await judge(
        port,
        [
            *(
                Case(f"3.{rsv} {kind}", [frame(b"\x03\xe8", opcode, rsv=rsv), frame(b"", PING)], close=1002)
                for rsv in bits
                for kind, opcode in kinds.items()
            ),
            *(
                Case(f"3.{rsv} a second part", [frame(HELLO, fin=False), frame(b"", CONT, rsv=rsv)], close=1002)
                for rsv in bits
            ),
        ],
    )


async def test_a_reserved_opcode_is_1002(port: int) -> None:
    """4.1 and 4.2: opcodes 3 to 7 and 11 to 15, empty or not, alone or within a message."""
    opcodes = (*range(3, 8), *range(11, 16))
    await judge(
        port,
        [
            *(Case(f"4 opcode {opcode}", [frame(b"", opcode)], close=1002) for opcode in opcodes),
            *(
                Case(f"4 opcode {opcode}, with text", [frame(HELLO, opcode), frame(b"", PING)], close=1002)
                for opcode in opcodes
            ),
            *(
                Case(f"4 opcode {opcode}, in a message", [frame(HELLO, fin=False), frame(b"x", opcode)], close=1002)
                for opcode in opcodes
            ),
        ],
    )


async def test_what_came_before_a_broken_frame_is_answered(port: int) -> None:
    """3.2 to 3.4 and 4.1.3 to 4.2.5: a message, then a broken frame, then a ping: the echo, then 1002."""
    broken = {
        "3.2 reserved bit": frame(HELLO, rsv=2),
        "4.1.3 opcode 5": frame(b"", 5),
        "4.2.3 opcode 13": frame(b"", 13),
        "unmasked": frame(HELLO, mask=b""),
    }
    await judge(
        port,
        [Case(name, [frame(HELLO), bad, frame(b"", PING)], [echo(HELLO)], close=1002) for name, bad in broken.items()],
    )


async def test_nothing_is_answered_after_a_close(port: int) -> None:
    """The close that a case ends with is the last word, also where more follows."""
    await judge(port, [Case("1.x", [close(), frame(HELLO), frame(b"", PING)])])
