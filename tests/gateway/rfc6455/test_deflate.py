"""Autobahn's groups 12 and 13 as far as the client compresses: permessage-deflate (RFC 7692)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import pytest

from gateway.deflate import TAIL
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

OFFER = "permessage-deflate"
HELLO = ping("Hello, Hello, Hello, κόσμε")
SIZES = (40, 64, 128, 256, 1024, 4096, 8192)


def deflated(
    payload: bytes,
    *,
    level: int = 6,
    bits: int = 15,
    strategy: int = zlib.Z_DEFAULT_STRATEGY,
    every: int = 8192,
    flush: int = zlib.Z_SYNC_FLUSH,
) -> bytes:
    """A message as it is sent (7.2.1), with a flush after `every` so many bytes."""
    deflater = zlib.compressobj(level, zlib.DEFLATED, -bits, 8, strategy)
    made = b"".join(deflater.compress(part) + deflater.flush(flush) for part in pieces(payload, every))
    return (made + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL).removesuffix(TAIL)


def final(payload: bytes) -> bytes:
    """A message in a block with BFINAL set, and the octet behind it (7.2.3.4)."""
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflater.compress(payload) + deflater.flush() + b"\0"


def compressed(payload: bytes, opcode: int = TEXT, *, fin: bool = True) -> bytes:
    """A frame with RSV1."""
    return frame(payload, opcode, fin=fin, rsv=4)


def parts(payload: bytes, size: int, opcode: int = TEXT) -> list[bytes]:
    """A compressed message in fragments: only the first has RSV1."""
    return fragments(pieces(payload, size), opcode, rsv=4)


def case(name: str, sent: Sequence[bytes], *messages: bytes, ends: int = 1000, pongs: Sequence[bytes] = ()) -> Case:
    """Frames, and the commands whose echoes come of it."""
    return Case(name, sent, [echo(each) for each in messages], pongs, ends, offer=OFFER)


async def test_compressed_messages_of_every_length_are_echoed(port: int) -> None:
    """12 and 13: texts and MessagePack, up to 8 KiB uncompressed; and uncompressed ones among them."""
    made = deflated(HELLO)
    await judge(
        port,
        [
            *(case(f"{n} bytes", [compressed(deflated(ping(size=n)))], ping(size=n)) for n in SIZES),
            *(
                Case(
                    f"{size} bytes of MessagePack",
                    [compressed(deflated(packed(size)), BINARY)],
                    [echo(packed(size))],
                    subprotocol="msgpack",
                    offer=OFFER,
                )
                for size in SIZES
            ),
            case("plain", [frame(HELLO)], HELLO),
            case("plain between", [compressed(made), frame(HELLO), compressed(made)], HELLO, HELLO, HELLO),
            case("a ping between", [compressed(made), frame(b"?", PING)], HELLO, pongs=[b"?"]),
        ],
    )


async def test_any_deflate_stream_is_understood(port: int) -> None:
    """Every window, level and strategy; one block or several; stored, fixed and dynamic ones; empty ones between."""
    text = ping("".join(chr(33 + n * n % 90) for n in range(700)).replace('"', "").replace("\\", ""))
    strategies = {"huffman": zlib.Z_HUFFMAN_ONLY, "rle": zlib.Z_RLE, "fixed": zlib.Z_FIXED, "filtered": zlib.Z_FILTERED}
    made = {
        **{f"a window of {bits} bits": deflated(text, bits=bits) for bits in range(9, 16)},
        **{f"level {level}": deflated(text, level=level) for level in range(10)},
        **{name: deflated(text, strategy=strategy) for name, strategy in strategies.items()},
        **{f"a flush every {n} bytes": deflated(text, every=n) for n in (1, 7, 100)},
        **{f"a full flush every {n} bytes": deflated(text, every=n, flush=zlib.Z_FULL_FLUSH) for n in (7, 100)},
        "stored blocks": deflated(text, level=0, every=100),
        "an empty block before": TAIL[:1] + TAIL + deflated(text),
        "BFINAL": final(text),
    }
    await judge(port, [case(name, [compressed(each)], text) for name, each in made.items()])


async def test_a_compressed_message_may_be_fragmented_anywhere(port: int) -> None:
    """6.1 of RFC 7692: RSV1 on the first fragment only, whatever the cut, with control frames between."""
    made = deflated(HELLO)
    octets = parts(made, 1)
    answered = [part for each in octets for part in (each, frame(b"?", PING))][:-1]
    await judge(
        port,
        [
            *(case(f"parts of {n}", parts(made, n), HELLO) for n in (1, 2, 3, 10)),
            *(
                case(f"cut at {n}", [compressed(made[:n], fin=False), frame(made[n:], CONT)], HELLO)
                for n in range(len(made) + 1)
            ),
            case("pings between", answered, HELLO, pongs=[b"?"] * (len(octets) - 1)),
            case("BFINAL in octets", parts(final(HELLO), 1), HELLO),
            case("twice", parts(made, 5) * 2, HELLO, HELLO),
            case("plain fragments", fragments(pieces(HELLO, 5)), HELLO),
        ],
    )


async def test_an_empty_compressed_message_is_an_empty_message(port: int) -> None:
    """7.2.3.6: 0x00, or an empty fixed block before it; also in two fragments, of which one is empty."""
    empty = [error("invalid_json")]
    await judge(
        port,
        [
            Case("0x00", [compressed(b"\0")], empty, offer=OFFER),
            Case("0x02 0x00", [compressed(b"\x02\0")], empty, offer=OFFER),
            Case("BFINAL", [compressed(b"\x03\0\0")], empty, offer=OFFER),
            Case("nothing, then 0x00", [compressed(b"", fin=False), frame(b"\0", CONT)], empty, offer=OFFER),
            Case("0x00, then nothing", [compressed(b"\0", fin=False), frame(b"", CONT)], empty, offer=OFFER),
            Case("RFC 7692's Hello", [compressed(bytes.fromhex("f248cdc9c90700"))], empty, offer=OFFER),
            Case("with BFINAL", [compressed(bytes.fromhex("f348cdc9c9070000"))], empty, offer=OFFER),
            Case("stored", [compressed(bytes.fromhex("000500faff48656c6c6f00"))], empty, offer=OFFER),
        ],
    )


async def test_a_reserved_bit_elsewhere_is_1002(port: int) -> None:
    """RSV1 on a continuation or a control frame (6 of RFC 7692), and RSV2 and RSV3 anywhere."""
    made = deflated(HELLO)
    first, plain = compressed(made[:9], fin=False), frame(HELLO[:9], fin=False)
    await judge(
        port,
        [
            case("a continuation", [first, compressed(made[9:], CONT)], ends=1002),
            case("a continuation of a plain message", [plain, compressed(HELLO[9:], CONT)], ends=1002),
            *(
                case(f"{name}", [compressed(b"\x03\xe8", opcode)], ends=1002)
                for name, opcode in (("a ping", PING), ("a pong", PONG), ("a close", CLOSE))
            ),
            *(case(f"a text, {rsv}", [frame(made, rsv=rsv)], ends=1002) for rsv in (1, 2, 3, 5, 6, 7)),
        ],
    )


async def test_what_is_no_deflate_stream_is_1002(port: int) -> None:
    """Broken blocks, and references to messages before: they were inflated each by itself, as was agreed."""
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    one, two = ((deflater.compress(HELLO) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL) for _ in range(2))
    made = deflated(HELLO)
    await judge(
        port,
        [
            case("a block of the reserved type", [compressed(b"\x07" + made)], ends=1002),
            case("ones", [compressed(b"\xff" * 20)], ends=1002),
            case("a stored block of a wrong length", [compressed(b"\0\x05\0\xff\xffHello\0")], ends=1002),
            case("plain text", [compressed(HELLO)], ends=1002),
            case("in the second fragment", [compressed(made + TAIL, fin=False), frame(b"\x07", CONT)], ends=1002),
            case("the window before", [compressed(one), compressed(two)], HELLO, ends=1002),
        ],
    )


async def test_what_follows_the_last_block_is_1002(port: int) -> None:
    """A stream ends with BFINAL. Otherwise a client could send fragments for ever that never make a message."""
    made, more = final(HELLO), deflated(HELLO)
    endless = [compressed(made, fin=False), *[frame(more * 10, CONT, fin=False)] * 100]
    await judge(
        port,
        [
            case("another block", [compressed(made[:-1] + more)], ends=1002),
            case("in another fragment", [compressed(made, fin=False), frame(more, CONT)], ends=1002),
            case("without an end", endless, ends=1002),
        ],
    )


async def test_a_compressed_text_is_utf8(port: int) -> None:
    """1007, as for one that is not compressed."""
    await judge(
        port,
        [
            case("invalid", [compressed(deflated(ping(b"\xff")))], ends=1007),
            case("fragmented", parts(deflated(ping(b"\xed\xa0\x80")), 3), ends=1007),
        ],
    )


async def test_what_inflates_beyond_8_kib_is_1009(port: int) -> None:
    """However small it comes: in one frame, in fragments, over the limit by a byte or by eight million."""
    bomb = deflated(bytes(8_000_000), level=9, every=8_000_000)
    assert len(bomb) < 8192
    slowly = deflated(bytes(9000), every=3000, flush=zlib.Z_FULL_FLUSH)
    await judge(
        port,
        [
            case("a byte more", [compressed(deflated(ping(size=8193)))], ends=1009),
            case("eight million", [compressed(bomb)], ends=1009),
            case("eight million in fragments", parts(bomb, 1000), ends=1009),
            case("three times 3,000", parts(slowly, 15), ends=1009),
            case("after a lawful one", [compressed(deflated(HELLO)), compressed(bomb)], HELLO, ends=1009),
            case("8 KiB stored", [compressed(deflated(ping(size=8192), level=0))], ends=1009),
        ],
    )


async def test_a_close_is_a_close_on_a_compressed_connection(port: int) -> None:
    """Also within a compressed message."""
    made = deflated(HELLO)
    await judge(
        port,
        [
            case("after a message", [compressed(made), close(1001)], HELLO, ends=1001),
            case("within one", [compressed(made[:9], fin=False), close(1001)], ends=1001),
        ],
    )


@pytest.mark.parametrize(
    "offer",
    [
        None,
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; made_up",
        "permessage-deflate; ; ;",
        'permessage-deflate; server_max_window_bits="',
    ],
)
async def test_who_offers_nothing_acceptable_speaks_plain(port: int, offer: str | None) -> None:
    """The handshake succeeds all the same; a compressed message is then 1002."""
    await judge(
        port,
        [
            Case("plain", [frame(HELLO)], [echo(HELLO)], offer=offer),
            Case("compressed", [compressed(deflated(HELLO))], close=1002, offer=offer),
        ],
    )
