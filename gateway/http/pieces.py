"""Large answers, sent in pieces as fast as their client reads.

A transport keeps a copy of whatever it is given and can't send. A thousand clients that ask for a page and read nothing
would otherwise cost a thousand pages of memory.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_PIECE = 16_384  # bytes written at once: what the transport buffers before it pauses us


class PiecewiseResponse(Response):
    """A response whose body is sent in pieces."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the response; each piece after the client has read most of those before."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, max(len(self.body), 1), _PIECE):
            more = start + _PIECE < len(self.body)
            await send({"type": "http.response.body", "body": self.body[start : start + _PIECE], "more_body": more})
