"""The history as lines: one record per line of JSON, as many as the range has.

Of each answer, one read of the database and 64 KiB of lines are in memory, however long it is. The next lines are made
once the client has taken these.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import replace

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway.filters.filter import Filter
from gateway.history.archive import Archive, BusyError
from gateway.history.query import Range
from gateway.history.records import sent
from gateway.http.rest import NOT_KEPT
from gateway.transport.pacing import IncompleteError
from shared.database import Record
from shared.errors import CoinwireError, DatabaseError

MEDIA_TYPE = "application/x-ndjson"

READ_ROWS, READ_BYTES = 500, 1_048_576
"""Of one read of the database. An export of the command line holds four times as many bytes."""
UNDER_WAY = 4
"""Answers at once per gateway: 10 MiB with their compressors; beyond it 503 `busy`. Pages have slots of their own."""
RETRY_SECONDS = 5
"""Retry-After of a second answer to one address, and of a fifth in all: nobody knows how long the others take."""

_PIECE = 65_536  # bytes of lines that are encoded and sent together

_to_json = msgspec.json.Encoder().encode


class OneAtATimeError(CoinwireError):
    """The address is being sent lines already."""


class Streams:
    """The answers in progress: one per address."""

    def __init__(self) -> None:
        self._addresses: set[str] = set()

    def __len__(self) -> int:
        return len(self._addresses)

    @contextmanager
    def slot(self, address: str) -> Iterator[None]:
        """Count an answer until it is sent. Raises OneAtATimeError, and BusyError beyond UNDER_WAY."""
        if address in self._addresses:
            raise OneAtATimeError
        if len(self._addresses) >= UNDER_WAY:
            raise BusyError
        self._addresses.add(address)
        try:
            yield
        finally:
            self._addresses.remove(address)


class LinesResponse(StreamingResponse):
    """Holds its slot until it is sent. Where the database fails in the middle, the connection ends without an end."""

    def __init__(self, lines: AsyncGenerator[bytes], held: ExitStack) -> None:
        super().__init__(lines, headers={**NOT_KEPT, "Vary": "Accept"}, media_type=MEDIA_TYPE)
        self._lines = lines
        self._held = held

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines, until the client has gone. Raises IncompleteError.

        Starlette's own method uses anyio, whose first use keeps the loop for 50 ms: it imports half of itself.
        """
        with self._held:
            going = asyncio.create_task(_until_gone(receive))
            try:
                async with aclosing(self._lines):
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    async for piece in self._lines:
                        if going.done():
                            return
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            except DatabaseError:  # the archive has logged it
                raise IncompleteError from None
            finally:
                going.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def lines(
    archive: Archive, asked: Range, only: Filter | None, records: list[Record], most: int | None
) -> AsyncGenerator[bytes]:
    """Lines, of `records` and of what follows them, at most `most`; joined into pieces. Raises DatabaseError."""
    left = most
    while records:
        last, found = records[-1], records if left is None else records[:left]
        piece = bytearray()
        async for each in sent(found, only, archive.filtering):
            piece += _to_json(each)
            piece += b"\n"
            if len(piece) >= _PIECE:
                yield bytes(piece)
                piece.clear()
        if piece:
            yield bytes(piece)
        if left is not None:
            left -= len(found)
            if left <= 0:
                return
        del found
        records.clear()
        records = await archive.read(replace(asked, after=last.sort_key), READ_ROWS, READ_BYTES)


async def nothing() -> AsyncGenerator[bytes]:
    """The lines of an answer to HEAD."""
    return
    yield b""
