"""Opening: the handshake of one WebSocket, as ASGI wants it. It ends with the answer; nothing of it is kept."""

from __future__ import annotations

import asyncio
import email.utils
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.types import Message, Scope

from gateway.transport.connection import Connection
from gateway.transport.handshake import Headers, lines_of, response, switching

EXTENSION = "coinwire.frames"
"""Key in the ASGI scope's `extensions` under which the application finds the connection."""


class Disconnected(OSError):
    """The client left before it was answered."""


class Opening:
    """One request to become a WebSocket, valid so far, and the application's answer to it."""

    def __init__(self, connection: Connection, target: bytes, headers: Headers, extensions: str | None) -> None:
        """`headers` are those of the request; `extensions` is the answer to what it offers of them."""
        self._connection = connection
        self._target = target
        self._headers = headers
        self._extensions = extensions
        self._refused: Message | None = None
        self._body = b""
        self._asked = False
        self._answered = False

    def scope(
        self, state: dict[str, Any], *, client: tuple[str, int] | None, server: tuple[str, int | None] | None
    ) -> Scope:
        """The ASGI scope of the request."""
        raw_path, _, query = self._target.partition(b"?")
        offered = ",".join(lines_of(self._headers, b"sec-websocket-protocol"))
        return {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "server": server,
            "client": client,
            "root_path": "",
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
            "subprotocols": [token.strip() for token in offered.split(",") if token.strip()],
            "state": state.copy(),
            "extensions": {"websocket.http.response": {}, EXTENSION: self._connection},
        }

    async def receive(self) -> Message:
        """The request; nothing more comes this way."""
        if self._asked:
            await asyncio.get_running_loop().create_future()
        self._asked = True
        return {"type": "websocket.connect"}

    async def send(self, message: Message) -> None:
        """The answer. Raises Disconnected where nobody waits for it."""
        if self._connection.gone:
            raise Disconnected
        match message["type"]:
            case "websocket.accept":
                self._answered = True
                subprotocol = message.get("subprotocol")
                answer = switching(self._headers, extensions=self._extensions, subprotocol=subprotocol)
                self._connection.accept(answer)
            case "websocket.http.response.start":
                self._refused = message
            case "websocket.http.response.body" if self._refused is not None:
                self._body += message["body"]
                if not message.get("more_body", False):
                    self._refuse(self._refused["status"], self._refused["headers"])
            case other:
                raise RuntimeError(f"a handshake is not answered with {other}")

    def end(self, task: asyncio.Task[None]) -> None:
        """The application has returned. Without an answer, that is its error."""
        error = None if task.cancelled() else task.exception()
        if self._connection.gone or (self._answered and error is None):
            return
        if not self._answered:
            self._body = b""
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, [])
        self._connection.fail(error)

    def _refuse(self, status: int, headers: Headers) -> None:
        self._answered = True
        there = {name.lower() for name, _ in headers}
        defaults = {
            b"date": email.utils.formatdate(usegmt=True).encode(),
            b"connection": b"close",
            b"content-length": b"%d" % len(self._body),
        }
        more = [(name, value) for name, value in defaults.items() if name not in there]
        self._connection.refuse(response(status, [*headers, *more], self._body))
