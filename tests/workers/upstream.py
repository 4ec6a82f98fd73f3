"""An upstream with the answers of a test, over a real socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import ClassVar

from shared.budget import Budget
from workers.asking.limits import Limits
from workers.asking.provider import Parsers

OK = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":1}'
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
SECRET = "CG-very-secret"  # noqa: S105


def reply(status: str, body: bytes = b"{}", *headers: str) -> bytes:
    """An HTTP answer with the body's true length."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Upstream:
    """A provider, and the server on a real socket behind it: sends `answers` in turn, then the last one for ever."""

    name = "acme"
    parsers: ClassVar[Parsers] = {}
    limits: ClassVar[Limits] = Limits()

    def __init__(self) -> None:
        self.budget = Budget(100, 60.0)
        self.base_url = ""
        self.answers: list[bytes] = [OK]
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.hang = False
        self.released = asyncio.Event()

    def headers(self) -> Mapping[str, str]:
        return {"x-key": SECRET}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            length = _LENGTH.search(head)
            self.bodies.append(await reader.readexactly(int(length[1])) if length else b"")
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            writer.write(answer)
            await writer.drain()
            if self.hang:
                await self.released.wait()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left first
        finally:
            writer.close()
