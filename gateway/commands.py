"""Commands: what one client sends, charged, decoded and read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from gateway.frames import decode_binary, decode_text
from gateway.messages.actions import AnyCommand
from gateway.messages.faults import Fault
from gateway.protocol import BYTES_PER_TOKEN, CommandRate, id_of, parse_command


class Commands:
    """The commands of one connection."""

    __slots__ = ("_binary", "_rate", "id")

    def __init__(self, *, binary: bool, clock: Callable[[], float]) -> None:
        """`binary` is whether the client speaks MessagePack."""
        self.id: str | int | None = None
        """The `id` of the newest, also of one that is refused; None where it has none, or one that can't be echoed."""
        self._binary = binary
        self._rate = CommandRate(clock)

    @property
    def hopeless(self) -> bool:
        """Whether so many were refused that the connection should be closed."""
        return self._rate.hopeless

    def read(self, message: str | bytes, size: int) -> AnyCommand:
        """The command in a message of `size` bytes. Raises Fault. Whatever it is counts, before it is decoded."""
        self.id = None
        try:
            self._rate.take(size)
        except Fault:
            if size <= BYTES_PER_TOKEN:  # else not even its id is worth the time to decode it
                with contextlib.suppress(Fault):
                    self.id = id_of(self._decode(message))
            raise
        decoded = self._decode(message)
        self.id = id_of(decoded)
        return parse_command(decoded)

    def _decode(self, message: str | bytes) -> Any:
        if self._binary:
            if isinstance(message, str):
                raise Fault("text_not_supported", "This connection speaks MessagePack: send binary frames")
            return decode_binary(message)
        if isinstance(message, bytes):
            raise Fault("binary_not_supported", "This connection speaks JSON: send text frames")
        return decode_text(message)
