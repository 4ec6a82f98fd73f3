"""A client of event streams that reads as WHATWG HTML, 9.2.6 says, and keeps what it reads."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tests.gateway.raw import Raw, dial


@dataclass(frozen=True)
class Happened:
    """One event."""

    name: str
    data: dict[str, Any]
    last_id: str
    """The id that the client would come back with."""

    @property
    def seq(self) -> int:
        """The seq in the meta of an update."""
        found: int = self.data["meta"]["seq"]
        return found


class Events:
    """One stream. Its head has been read."""

    def __init__(self, raw: Raw, status: int, headers: dict[str, str]) -> None:
        self.raw = raw
        self.status = status
        self.headers = headers
        self.last_id = ""
        self.retry: int | None = None
        self.comments: list[str] = []
        self._name = ""
        self._data: list[str] = []

    async def next(self) -> Happened:
        """The next event. EOFError at the end; an event that is cut off is dropped."""
        while True:
            line = (await self.raw.line()).decode().removesuffix("\n")
            assert "\r" not in line
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                name, data = self._name or "message", self._data
                self._name, self._data = "", []
                if data:
                    return Happened(name, json.loads("\n".join(data)), self.last_id)
            elif not field:
                self.comments.append(value)
            elif field == "event":
                self._name = value
            elif field == "data":
                self._data.append(value)
            elif field == "id":
                self.last_id = value
            else:
                assert field == "retry"
                self.retry = int(value)

    async def take(self, count: int) -> list[Happened]:
        """The next `count` events."""
        return [await self.next() for _ in range(count)]

    async def rest(self) -> list[Happened]:
        """All events until the end."""
        found = []
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                found.append(await self.next())
        return found


def request(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """A request."""
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: gateway", *headers, "", ""]).encode()


@contextlib.asynccontextmanager
async def listen(port: int, path: str, *headers: str, window: int | None = None) -> AsyncIterator[Events]:
    """An event stream whose head has been read; `window` keeps the kernel from reading ahead."""
    async with dial(port, window=window) as raw:
        await raw.send(request(path, *headers))
        yield await answered(raw)


async def answered(raw: Raw) -> Events:
    """The answer on a connection, which must be a stream."""
    status, *lines = (await raw.head()).split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    found = Events(raw, int(status.split()[1]), headers)
    assert (found.status, headers.get("content-type")) == (200, "text/event-stream"), status
    return found


def reset(raw: Raw) -> None:
    """Leave without a goodbye."""
    raw._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    raw._socket.close()
