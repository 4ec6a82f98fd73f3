"""What only event streams carry: the event before their end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from msgspec import Meta

from gateway.messages.faults import CloseCode
from gateway.messages.message import Notice


class StreamClosed(Notice, frozen=True, kw_only=True):
    """Last event of a stream that the gateway ends: what a WebSocket's close frame says."""

    type: ClassVar[str] = "stream_closed"

    code: Annotated[int, Meta(description="the close code that a WebSocket would get")]
    message: Annotated[str, Meta(description="for people")]

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (cls(code=CloseCode.RESTART, message="this gateway stops: reconnect"),)
