"""Autobahn's group 7: how a connection is closed."""

from __future__ import annotations

import pytest

from tests.gateway.rfc6455.cases import CLOSE, CONT, PING, Case, close, echo, frame, judge, ping

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("no_errors")]

HELLO = ping()


async def test_a_close_is_answered_and_is_the_last_word(port: int) -> None:
    """7.1: what comes before it is answered; what comes after it is not, and does no harm."""
    large = ping(size=8192)
    await judge(
        port,
        [
            Case("7.1.1 a message before", [frame(HELLO), close()], [echo(HELLO)]),
            Case("7.1.2 two closes", [close(), close(1001)]),
            Case("7.1.3 a ping after", [close(), frame(b"", PING)]),
            Case("7.1.4 a text after", [close(), frame(HELLO)]),
            Case("7.1.5 in a message", [frame(HELLO, fin=False), close(), frame(b"x", CONT)]),
            Case("a ping, a message", [frame(b"", PING) + frame(HELLO) + close()], [echo(HELLO)], pongs=[b""]),
            Case("7.1.6 a large message before", [frame(large), close(), frame(b"", PING)], [echo(large)]),
            Case("nonsense after", [close(), b"\xff" * 100]),
        ],
    )


async def test_the_payload_of_a_close_is_empty_or_a_code_and_a_reason(port: int) -> None:
    """7.3: none at all is answered with none; a single byte, or more than 125, is 1002."""
    reason = b"*" * 123
    await judge(
        port,
        [
            Case("7.3.1 empty", [close(None)], close=1005),
            Case("7.3.2 one byte", [frame(b"a", CLOSE)], close=1002),
            Case("7.3.3 a code", [close(1000)], close=1000),
            Case("7.3.4 a reason", [close(1001, b"Hello World!")], close=1001),
            Case("7.3.5 123 bytes of reason", [close(1001, reason)], close=1001),
            Case("7.3.6 124 bytes of reason", [close(1001, reason + b"*")], close=1002),
        ],
    )


async def test_a_reason_that_is_no_utf8_is_1007(port: int) -> None:
    """7.5.1: a reason is UTF-8 (5.5.1)."""
    reasons = {"7.5.1": "κόσμε".encode() + b"\xed\xa0\x80edited", "a byte": b"\xff", "cut off": "κ".encode()[:1]}
    await judge(port, [Case(name, [close(1000, each)], close=1007) for name, each in reasons.items()])
    await judge(port, [Case("valid", [close(1001, "κόσμε".encode())], close=1001)])


async def test_codes_that_a_client_may_send_are_repeated(port: int) -> None:
    """7.7: those of RFC 6455, those registered since, and all from 3000 to 4999."""
    codes = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
    await judge(port, [Case(f"7.7 {code}", [close(code)], close=code) for code in codes])


async def test_codes_that_nobody_may_send_are_1002(port: int) -> None:
    """7.9 and 7.13: reserved ones, unassigned ones, and those above 4999."""
    codes = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 9999, 65_535)
    await judge(port, [Case(f"7.9 {code}", [close(code)], close=1002) for code in codes])
    await judge(port, [Case(f"7.9 {code}, with reason", [close(code, b"x")], close=1002) for code in codes])
