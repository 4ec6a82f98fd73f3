"""Frames: messages as clients get them, built once per update and form, and shared by all clients of that form.

Most are frames of WebSockets. Those of event streams over HTTP are events, and are shared in the same way.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import Enum
from functools import cache
from typing import Any

import msgpack
import msgspec

from gateway.deflate import SMALLEST_MESSAGE, Compressor, new_compressor, squeeze
from gateway.event_stream import KEEP_ALIVE, head_of
from gateway.messages.faults import Fault
from gateway.messages.message import Message
from shared.bus import Position
from shared.envelope import UPDATE

_TEXT, _BINARY = 0x81, 0x82  # FIN set, opcode 1 or 2: RFC 6455, section 5.2
_EVENT = 0x00  # no frame of a WebSocket
_COMPRESSED = 0x40  # RSV1, on every message that is compressed: RFC 7692, section 6

WRITE_BYTES = 65_536
"""How much one write takes of several frames. What the kernel does not take of a write stays in the transport, where
the limits of the client's outbox do not apply."""

_to_json = msgspec.json.Encoder().encode


class Frame:
    """One whole unmasked WebSocket frame, as clients without permessage-deflate get it, and its compressed forms."""

    __slots__ = ("_alone", "_header", "service", "wire")

    def __init__(self, payload: bytes, *, binary: bool) -> None:
        header = _header(_BINARY if binary else _TEXT, len(payload))
        self._header = len(header)
        self._alone: dict[int, bytes] | None = None
        self.service: str | None = None
        """The service of a live update, for which a later one may stand; None where the frame must be sent."""
        self.wire = header + payload

    @property
    def frames(self) -> Sequence[Frame]:
        """Itself: a frame is a buffer of one frame."""
        return (self,)

    @property
    def plain(self) -> int:
        """Bytes of the whole frame."""
        return len(self.wire)

    @property
    def binary(self) -> bool:
        """Whether the payload is MessagePack rather than text."""
        return self.wire[0] == _BINARY

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return len(self.wire) - self._header

    @property
    def payload(self) -> bytes:
        """The message without the frame around it."""
        return self.wire[self._header :]

    @property
    def compressible(self) -> bool:
        """Whether clients that negotiated compression get it compressed. The same for all of them."""
        return self.size >= SMALLEST_MESSAGE

    def alone(self, bits: int) -> bytes:
        """The frame compressed by itself, for a window of 2 to the power of `bits` bytes. Built on first use.

        Every client can decode it, whatever its window holds. A frame that is not compressible stays as it is.
        """
        if not self.compressible:
            return self.wire
        if self._alone is None:
            self._alone = {}
        made = self._alone.get(bits)
        if made is None:
            made = self._alone[bits] = self.compressed(new_compressor(bits))
        return made

    def compressed(self, compressor: Compressor) -> bytes:
        """The frame with the next message of `compressor` in it."""
        payload = squeeze(compressor, self.payload)
        return _header(self.wire[0] | _COMPRESSED, len(payload)) + payload


class Event(Frame):
    """One event of an event stream, or lines between events. It is never compressed."""

    __slots__ = ()

    def __init__(self, head: bytes, payload: bytes = b"") -> None:
        """`head` is what comes before the payload; without one, it is all lines."""
        self._header = len(head)
        self._alone = None
        self.service = None
        self.wire = head + payload + b"\n\n" if payload else head

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return len(self.payload)

    @property
    def payload(self) -> bytes:
        """The message without the lines around it."""
        return self.wire[self._header : -2]

    @property
    def compressible(self) -> bool:
        """Never."""
        return False


SILENCE = Event(KEEP_ALIVE)
"""What keeps a silent stream open."""


def _header(first: int, size: int) -> bytes:
    if size < 126:
        return struct.pack("!BB", first, size)
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)


class Joined:
    """One or several frames in one buffer, for one write; `wires` are their bytes, where they are compressed."""

    __slots__ = ("frames", "plain", "wire")

    def __init__(self, frames: Sequence[Frame], wires: Sequence[bytes] | None = None) -> None:
        self.frames = frames
        self.plain = sum([len(frame.wire) for frame in frames])
        """Bytes that they would have if they were not compressed."""
        self.wire = b"".join([frame.wire for frame in frames] if wires is None else wires)


Buffer = Frame | Joined
"""What is written at once: the bytes in `wire`, and the `frames` that they contain."""


def join(frames: Sequence[Frame], wires: Sequence[bytes] | None = None) -> list[Buffer]:
    """`frames`, in order, in as few buffers as their size allows; `wires` are their compressed bytes."""
    buffers: list[Buffer] = []
    if wires is None:
        wires = [frame.wire for frame in frames]
    start = size = 0
    for end, wire in enumerate(wires):
        size += len(wire)
        if size > WRITE_BYTES and end > start:
            buffers.append(_joined(frames[start:end], wires[start:end]))
            start, size = end, len(wire)
    buffers.append(_joined(frames[start:], wires[start:]))
    return buffers


def _joined(frames: Sequence[Frame], wires: Sequence[bytes]) -> Buffer:
    return frames[0] if len(frames) == 1 and wires[0] is frames[0].wire else Joined(frames, wires)


def encode(message: Any, *, binary: bool) -> Frame:
    """A message as a frame. Raises Fault where it echoes what can't be encoded (an integer over 64 bits)."""
    return Frame(_payload(message, binary=binary), binary=binary)


def as_event(message: Message[Any], position: Position | None = None) -> Event:
    """A message as an event, from which a client comes back with `position`. Raises Fault as `encode` does."""
    name = None if message.type == UPDATE else message.type
    return Event(head_of(name, position), _payload(message, binary=False))


def _payload(message: Any, *, binary: bool) -> bytes:
    try:
        packed: bytes = msgpack.packb(message, default=_as_map) if binary else _to_json(message)
        return packed
    except (OverflowError, ValueError, TypeError, RecursionError) as error:
        raise Fault("invalid_message", f"Can't be echoed: {error}") from None


def _as_map(value: object) -> dict[str, Any]:
    """A Struct as a map, for msgpack, which unlike msgspec can also pack everything that it unpacked for a ping."""
    if not isinstance(value, msgspec.Struct):
        raise TypeError(f"{type(value).__name__} has no form in MessagePack")
    names = _names_of(type(value))
    return {key: field for name, key in names if (field := getattr(value, name)) is not msgspec.UNSET}


@cache
def _names_of(kind: type[msgspec.Struct]) -> Sequence[tuple[str, str]]:
    """Each field's name, here and in messages."""
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(kind))


def decode_text(text: str) -> Any:
    """The JSON of a text frame. Raises Fault `invalid_json`."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Fault("invalid_json", f"Not JSON: {error}") from None


def decode_binary(payload: bytes) -> Any:
    """The MessagePack of a binary frame. Raises Fault `invalid_msgpack`."""
    try:
        return msgpack.unpackb(payload)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise Fault("invalid_msgpack", f"Not MessagePack: {error}") from None


class Form(Enum):
    """How a client receives an update: (opcode, meta). meta is None, or the marks that it has besides the position."""

    TEXT = (_TEXT, None)
    TEXT_META = (_TEXT, ())
    TEXT_SNAPSHOT = (_TEXT, ("snapshot",))
    TEXT_RECOVERED = (_TEXT, ("recovered",))
    PACKED = (_BINARY, ())
    PACKED_SNAPSHOT = (_BINARY, ("snapshot",))
    PACKED_RECOVERED = (_BINARY, ("recovered",))
    EVENTS = (_EVENT, ())
    EVENTS_SNAPSHOT = (_EVENT, ("snapshot",))
    EVENTS_RECOVERED = (_EVENT, ("recovered",))

    @staticmethod
    def live(*, binary: bool, meta: bool) -> Form:
        """The form of live updates."""
        return Form.PACKED if binary else Form.TEXT_META if meta else Form.TEXT

    @property
    def binary(self) -> bool:
        """Whether the client speaks MessagePack."""
        return self in _BINARIES

    @property
    def plain(self) -> Form:
        """The form that messages without a position have in common with this one."""
        return _PLAIN.get(self, self)

    @property
    def has_meta(self) -> bool:
        """Whether the client sees positions."""
        return self.value[1] is not None

    def encode(self, message: Message[Any], position: Position | None = None) -> Frame:
        """A message as a client of this form gets it. Raises Fault as `encode` does."""
        return as_event(message, position) if self.value[0] == _EVENT else encode(message, binary=self.binary)

    def showing_meta(self) -> Form:
        """The form with positions."""
        return Form.TEXT_META if self is Form.TEXT else self

    def as_snapshot(self) -> Form:
        """The form of the latest update, sent on subscribe."""
        return _SNAPSHOT.get(self, self)

    def as_recovered(self) -> Form:
        """The form of an update that was missed."""
        return _RECOVERED[self]


_BINARIES = (Form.PACKED, Form.PACKED_SNAPSHOT, Form.PACKED_RECOVERED)
_PLAIN = {Form.TEXT_META: Form.TEXT}
_SNAPSHOT = {
    Form.TEXT_META: Form.TEXT_SNAPSHOT,
    Form.PACKED: Form.PACKED_SNAPSHOT,
    Form.EVENTS: Form.EVENTS_SNAPSHOT,
}
_RECOVERED = {
    Form.TEXT_META: Form.TEXT_RECOVERED,
    Form.PACKED: Form.PACKED_RECOVERED,
    Form.EVENTS: Form.EVENTS_RECOVERED,
}
