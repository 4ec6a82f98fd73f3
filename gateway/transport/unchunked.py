"""Answers of unknown length to HTTP/1.0, which has no chunks (RFC 9112, section 6.1): the connection ends with them.

uvicorn would send chunks in any case, and their sizes would stand between the lines of the answer.
"""

from __future__ import annotations

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def has_no_chunks(cycle: RequestResponseCycle) -> bool:
    """Whether its client speaks HTTP/1.0."""
    return cycle.scope["http_version"] == "1.0"


def unchunked(app: ASGI3Application, cycle: RequestResponseCycle) -> ASGI3Application:
    """`app`, whose answer `cycle` sends without chunks, whatever its length."""

    async def answer(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        measured = True

        async def send_part(message: ASGISendEvent) -> None:
            nonlocal measured
            if message["type"] == "http.response.start":
                measured = any(name.lower() == b"content-length" for name, _ in message.get("headers", []))
                if not measured:
                    cycle.chunked_encoding = False
            elif message["type"] == "http.response.body" and not measured:
                cycle.expected_content_length = len(message.get("body", b""))  # what uvicorn now expects
            await send(message)

        await app(scope, receive, send_part)

    return answer
