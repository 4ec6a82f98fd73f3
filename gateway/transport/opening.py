"""Opening: the handshake of one WebSocket, as ASGI wants it. It ends with the answer; nothing of it is kept."""

from __future__ import annotations

import asyncio
import email.utils
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.types import Message, Scope
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from gateway.transport.connection import Connection

EXTENSION = "coinwire.frames"
"""Key in the ASGI scope's `extensions` under which the application finds the connection."""


class Disconnected(OSError):
    """The client left before it was answered."""


class Opening:
    """One request to become a WebSocket, valid so far, and the application's answer to it."""

    def __init__(self, connection: Connection, request: Request, accepted: Response) -> None:
        """`accepted` is the answer if the application takes the client."""
        self._connection = connection
        self._request = request
        self._accepted = accepted
        self._refused: Response | None = None
        self._asked = False
        self._answered = False

    def scope(
        self, state: dict[str, Any], *, client: tuple[str, int] | None, server: tuple[str, int | None] | None
    ) -> Scope:
        """The ASGI scope of the request."""
        raw_path, _, query = self._request.path.partition("?")
        headers = [(key.encode("ascii"), value.encode("latin-1")) for key, value in self._request.headers.raw_items()]
        offered = ",".join(self._request.headers.get_all("Sec-WebSocket-Protocol"))
        return {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "server": server,
            "client": client,
            "root_path": "",
            "path": unquote(raw_path),
            "raw_path": raw_path.encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": headers,
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
                headers = self._accepted.headers
                del headers["Date"]  # as every server of WebSockets: a handshake is not kept by anybody
                if message.get("subprotocol"):
                    headers["Sec-WebSocket-Protocol"] = message["subprotocol"]
                self._answer(self._accepted)
            case "websocket.http.response.start":
                status = HTTPStatus(message["status"])
                headers = Headers(
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]
                )
                headers.setdefault("Date", email.utils.formatdate(usegmt=True))
                headers.setdefault("Connection", "close")
                self._refused = Response(status.value, status.phrase, headers, b"")
            case "websocket.http.response.body" if self._refused is not None:
                self._refused.body = (self._refused.body or b"") + message["body"]
                if not message.get("more_body", False):
                    self._refused.headers.setdefault("Content-Length", str(len(self._refused.body)))
                    self._answer(self._refused)
            case other:
                raise RuntimeError(f"a handshake is not answered with {other}")

    def end(self, task: asyncio.Task[None]) -> None:
        """The application has returned. Without an answer, that is its error."""
        error = None if task.cancelled() else task.exception()
        if self._connection.gone or (self._answered and error is None):
            return
        if not self._answered:
            failed = HTTPStatus.INTERNAL_SERVER_ERROR
            headers = Headers([("Connection", "close"), ("Content-Length", "0")])
            self._answer(Response(failed.value, failed.phrase, headers, b""))
        self._connection.fail(error)

    def _answer(self, response: Response) -> None:
        self._answered = True
        self._connection.answer(response)
