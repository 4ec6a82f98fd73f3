"""How answers are sent: encoded as the client accepts, not at all if it has them already, and in pieces.

A transport keeps a copy of whatever it is given and can't send. A thousand clients that ask for a page and read nothing
would otherwise cost a thousand pages of memory.
"""

from __future__ import annotations

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.encoding import IDENTITY, WORTH_IT, Compressor, Encoder, acceptable, compressor_of
from gateway.http.rest import failure
from gateway.messages.http import FailureData

_PIECE = 16_384  # bytes written at once: what the transport buffers before it pauses us
_ENCODED = re.compile(r"(text/(?!event-stream)[^;]*|application/(json|x-ndjson|javascript|[a-z.-]+\+json))\s*(;.*)?")
"""Media types that are encoded. Events are sent one at a time, each as soon as it happens."""
_TAG = re.compile(r'(?:W/)?("[^"]*")')  # RFC 9110, section 8.8.3; W/ makes no difference: If-None-Match compares weakly


def matches(header: str, etag: str) -> bool:
    """Whether an If-None-Match names `etag` (RFC 9110, section 13.1.2)."""
    return header.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(header)


class Sending:
    """Middleware: sends what the routes answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._encoder = Encoder()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            await self._app(scope, receive, _Answer(Headers(scope=scope), scope["method"], self._encoder, send).send)
        else:
            await self._app(scope, receive, send)


class _Answer:
    """The answer to one request."""

    def __init__(self, asked: Headers, method: str, encoder: Encoder, send: Send) -> None:
        self._asked = asked
        self._method = method
        self._encoder = encoder
        self._send = send
        self._start: Message | None = None
        """The head of an answer whose length is known; its body is not there yet."""
        self._compressor: Compressor | None = None

    async def send(self, message: Message) -> None:
        """What the application sends."""
        if message["type"] == "http.response.start":
            if "content-length" in MutableHeaders(raw=message["headers"]):
                self._start = message
            else:
                await self._begin(message)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._start is not None and not message.get("more_body"):
            await self._whole(self._start, message.get("body", b""))
        else:
            if self._start is not None:
                await self._send(self._start)
                self._start = None
            await self._stream(message.get("body", b""), bool(message.get("more_body")))

    async def _whole(self, start: Message, body: bytes) -> None:
        headers = MutableHeaders(raw=list(start["headers"]))
        status: int = start["status"]
        coding = self._coding(headers, len(body))
        if coding is None:
            if status < 400:  # an error is told in any case
                message = "This answer is there in gzip, zstd and identity, of which Accept-Encoding excludes all"
                refused = failure(406, FailureData(message=message, code="not_acceptable"))
                headers, status, body = MutableHeaders(raw=refused.raw_headers), 406, bytes(refused.body)
                headers.add_vary_header("Accept-Encoding")
        elif coding != IDENTITY and "etag" in headers and not headers["etag"].startswith("W/"):
            headers["ETag"] = "W/" + headers["etag"]  # other bytes than those that the strong one stands for
        if status == 200 and "etag" in headers and self._is_known(headers["etag"]):
            del headers["content-length"], headers["content-type"]
            status, body = 304, b""
        elif coding not in (None, IDENTITY):
            body = await self._encoder.encode(body, coding)
            headers["Content-Encoding"], headers["Content-Length"] = coding, str(len(body))
        await self._send({**start, "status": status, "headers": headers.raw})
        await self._pieces(b"" if self._method == "HEAD" else body, more=False)

    def _coding(self, headers: MutableHeaders, size: int) -> str | None:
        """The coding for a body of this size; None if the client accepts none."""
        if not _ENCODED.fullmatch(headers.get("content-type", "")) or "content-encoding" in headers:
            return IDENTITY
        headers.add_vary_header("Accept-Encoding")
        lines = self._asked.getlist("accept-encoding")
        accepted = acceptable(", ".join(lines) if lines else None)
        if size < WORTH_IT and IDENTITY in accepted:
            return IDENTITY
        return accepted[0] if accepted else None

    def _is_known(self, etag: str) -> bool:
        return matches(", ".join(self._asked.getlist("if-none-match")), etag)

    async def _begin(self, start: Message) -> None:
        """The head of an answer of unknown length."""
        headers = MutableHeaders(raw=list(start["headers"]))
        coding = self._coding(headers, WORTH_IT)
        if coding not in (None, IDENTITY):
            self._compressor = compressor_of(coding)
            headers["Content-Encoding"] = coding
        await self._send({**start, "headers": headers.raw})

    async def _stream(self, body: bytes, more: bool) -> None:
        if self._method == "HEAD":
            body = b""
        elif self._compressor is not None:
            body = await self._encoder.piece(self._compressor, body) if body else b""
            if not more:
                body += self._compressor.end()
        if body or not more:
            await self._pieces(body, more=more)

    async def _pieces(self, body: bytes, *, more: bool) -> None:
        """Send `body`; each piece after the client has read most of those before."""
        for start in range(0, max(len(body), 1), _PIECE):
            rest = start + _PIECE < len(body)
            piece = body[start : start + _PIECE]
            await self._send({"type": "http.response.body", "body": piece, "more_body": rest or more})
