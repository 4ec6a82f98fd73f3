"""Autobahn's group 6: texts are UTF-8, however they are fragmented.

A text is checked when it is complete. RFC 6455 leaves to an endpoint whether it looks earlier ("fail fast").
"""

from __future__ import annotations

import pytest

from tests.gateway.rfc6455.cases import (
    CONT,
    PING,
    Case,
    close,
    echo,
    error,
    fragments,
    frame,
    judge,
    pieces,
    ping,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_errors")]

KOSME = bytes.fromhex("ceba e1bdb9 cf83 cebc ceb5")  # κόσμε, with an accent of three bytes

VALID: dict[str, list[bytes]] = {
    "6.2 text": ["Hello-µ@ßöäüàá-UTF-8!!".encode(), KOSME],
    "6.6 prefixes": [KOSME[:n] for n in (2, 5, 7, 9)],
    "6.7 first of a length": [b"\0", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"],
    "6.9 last of a length": [b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"],
    "6.11 boundaries": [b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"],
    "6.22 noncharacters": [chr(plane << 16 | last).encode() for plane in range(17) for last in (0xFFFE, 0xFFFF)],
    "6.23 specials": [chr(point).encode() for point in range(0xFFF9, 0xFFFE)],
}

_LONELY = [(0xC0, 0xE0), (0xE0, 0xF0), (0xF0, 0xF8), (0xF8, 0xFC), (0xFC, 0xFE)]
_CUT_OFF = [
    b"\xc0",
    b"\xe0\x80",
    b"\xf0\x80\x80",
    b"\xf8\x80\x80\x80",
    b"\xfc\x80\x80\x80\x80",
    b"\xdf",
    b"\xef\xbf",
    b"\xf7\xbf\xbf",
    b"\xfb\xbf\xbf\xbf",
    b"\xfd\xbf\xbf\xbf\xbf",
]
_SURROGATES = [chr(each).encode("utf-8", "surrogatepass") for each in (0xD800, 0xDB7F, 0xDB80, 0xDBFF)]
_LOW_SURROGATES = [chr(each).encode("utf-8", "surrogatepass") for each in (0xDC00, 0xDF80, 0xDFFF)]

INVALID: dict[str, list[bytes]] = {
    "6.3 a surrogate in a text": [KOSME + b"\xed\xa0\x80edited"],
    "6.4 beyond the last code point": [KOSME + b"\xf4\x90\x80\x80edited"],
    "6.6 prefixes": [KOSME[:n] for n in (1, 3, 4, 6, 8, 10)],
    "6.8 first of five and six": [b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"],
    "6.10 last of four, five and six": [b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"],
    "6.11 boundary": [b"\xf4\x90\x80\x80"],
    "6.12 continuations": [*((b"\x80\xbf" * 4)[:n] for n in range(1, 8)), b"\xbf", bytes(range(0x80, 0xC0))],
    "6.13 lonely starts": [b"".join(bytes([each]) + b" " for each in range(*some)) for some in _LONELY],
    "6.14 the last byte is missing": _CUT_OFF,
    "6.15 all of them": [b"".join(_CUT_OFF)],
    "6.16 impossible bytes": [b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"],
    "6.17 overlong": [
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xf8\x80\x80\x80\xaf",
        b"\xfc\x80\x80\x80\x80\xaf",
    ],
    "6.18 overlong at most": [
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf8\x87\xbf\xbf\xbf",
        b"\xfc\x83\xbf\xbf\xbf\xbf",
    ],
    "6.19 overlong zero": [
        b"\xc0\x80",
        b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80",
        b"\xf8\x80\x80\x80\x80",
        b"\xfc\x80\x80\x80\x80\x80",
    ],
    "6.20 surrogates": _SURROGATES + _LOW_SURROGATES,
    "6.21 pairs of surrogates": [
        high + low for high in _SURROGATES for low in (_LOW_SURROGATES[0], _LOW_SURROGATES[-1])
    ],
}


def named(table: dict[str, list[bytes]]) -> list[tuple[str, bytes]]:
    """Every sequence with a name."""
    return [(f"{name} {each.hex()}", each) for name, some in table.items() for each in some]


def splits(name: str, sequence: bytes) -> dict[str, list[bytes]]:
    """A command around `sequence`: whole, cut at every byte of the sequence, and in parts of one byte."""
    whole = ping(sequence)
    start = whole.index(sequence)
    found = {f"{name} whole": [frame(whole)], f"{name} in octets": fragments(pieces(whole, 1))}
    for at in range(start, start + len(sequence) + 1):
        found[f"{name} cut at {at - start}"] = fragments([whole[:at], whole[at:]])
    return found


async def test_valid_texts_are_echoed(port: int) -> None:
    """6.1, 6.2, 6.5, 6.7, 6.9, 6.11, 6.22, 6.23: whatever UTF-8 can say, wherever it is cut."""
    await judge(
        port,
        [
            Case(
                split, sent, [error("invalid_json") if sequence == b"\0" else echo(ping(sequence))], once="cut" in split
            )
            for name, sequence in named(VALID)
            for split, sent in splits(name, sequence).items()
        ],
    )


async def test_invalid_texts_are_1007(port: int) -> None:
    """6.3, 6.6, 6.8, 6.10 to 6.21: wherever they are cut."""
    await judge(
        port,
        [
            Case(split, sent, close=1007, once="cut" in split)
            for name, sequence in named(INVALID)
            for split, sent in splits(name, sequence).items()
        ],
    )


async def test_a_text_that_is_only_such_a_sequence(port: int) -> None:
    """Valid, it is no command; invalid, it is 1007, on a MessagePack connection too."""
    await judge(
        port,
        [
            *(Case(name, [frame(each)], [error("invalid_json")]) for name, each in named(VALID)),
            *(Case(name, [frame(each)], close=1007) for name, each in named(INVALID)),
            *(
                Case(f"{name} packed", [frame(each)], close=1007, subprotocol="msgpack")
                for name, each in named(INVALID)
            ),
        ],
    )


async def test_a_text_is_checked_when_it_is_complete(port: int) -> None:
    """6.4: an invalid part ends the connection with the last part of its message, not before."""
    first, rest = frame(ping(b"\xf4\x90\x80\x80"), fin=False), frame(b"", CONT)
    await judge(port, [Case("6.4 a ping between", [first, frame(b"?", PING), rest], pongs=[b"?"], close=1007)])
    await judge(port, [Case("6.4 a close between", [first, close()])])
