"""The negotiation of permessage-deflate (RFC 7692, section 5): what a client offers, and what is answered. Pure.

Whatever an offer contains, the handshake goes on: what can't be accepted is declined, and the connection is plain if
nothing is left.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions import Extension
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.typing import ExtensionName

from gateway.deflate import LARGEST_WINDOW, SMALLEST_WINDOW, TAIL

_BEHIND = b"\0" + TAIL
"""What may come behind the last block of a stream that has one (RFC 7692, 7.2.3.4)."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_OFFER = re.compile(rf'(?:[^,"]|{_QUOTED})*')
_NAME = re.compile(r"[ \t]*permessage-deflate[ \t]*")
_PARAMETER = re.compile(rf";[ \t]*({_WORD})[ \t]*(?:=[ \t]*({_WORD}|{_QUOTED})[ \t]*)?")
_BITS = re.compile(r"[89]|1[0-5]")


class Deflate(NamedTuple):
    """What was agreed for the messages of the gateway. Those of the client are each compressed by itself."""

    bits: int = LARGEST_WINDOW
    """The window of the client's inflater is 2 to the power of so many bytes."""
    takeover: bool = True
    """Whether it remembers earlier messages."""
    answer: str = ""
    """The value of Sec-WebSocket-Extensions in the answer."""


class Inflation(Extension):
    """Inflates what a client sends, each message by itself, up to the size that a message may have.

    Unlike the extension of `websockets`, it accepts nothing behind the last block of a stream: zlib would keep it, and
    copy it with every fragment that adds to it.
    """

    name = ExtensionName("permessage-deflate")

    def __init__(self) -> None:
        self._inflater: Any = None  # of a message whose fragments still come

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        """The frame as if it had not been compressed. A reserved bit in a wrong place stays, for the parser to find.

        Raises ProtocolError for what is no deflate stream, and PayloadTooBig beyond `max_size` bytes.
        """
        assert max_size is not None
        if frame.opcode is Opcode.CONT:
            if self._inflater is None or frame.rsv1:
                return frame
        elif frame.rsv1 and frame.opcode in DATA_OPCODES:
            self._inflater = zlib.decompressobj(-LARGEST_WINDOW)
        else:
            return frame
        data = bytes(frame.data) + (TAIL if frame.fin else b"")
        try:
            inflated = self._inflater.decompress(data, max_size + 1)
        except zlib.error as error:
            raise ProtocolError("decompression failed") from error
        if len(inflated) > max_size:
            raise PayloadTooBig(None, max_size)
        if len(self._inflater.unused_data) > len(_BEHIND):
            raise ProtocolError("data behind the last block")
        if frame.fin:
            self._inflater = None
        return Frame(frame.opcode, inflated, frame.fin, False, frame.rsv2, frame.rsv3)

    def encode(self, frame: Frame) -> Frame:
        """What `websockets` sends itself are control frames, which are not compressed."""
        return frame


def agree(headers: Iterable[str]) -> Deflate | None:
    """The first acceptable offer of the client's Sec-WebSocket-Extensions lines; None where there is none."""
    return next(filter(None, map(_agree, headers)), None)


@lru_cache(maxsize=64)  # most clients offer what others do; a line has at most 8 KiB
def _agree(line: str) -> Deflate | None:
    return next(filter(None, map(_accept, _offers(line))), None)


def _offers(line: str) -> Iterator[str]:
    """The elements of a list (RFC 9110, 5.6.1). A quoted string that does not end breaks all that follow."""
    at = 0
    while at < len(line):
        found = _OFFER.match(line, at)
        assert found is not None  # it may be empty
        at = found.end()
        if at < len(line) and line[at] != ",":
            return
        yield found.group()
        at += 1


def _accept(offer: str) -> Deflate | None:
    parameters = _parameters(offer)
    if parameters is None:
        return None
    agreed, answer = Deflate(), ["permessage-deflate"]
    for name, value in parameters.items():
        match name:
            case "client_no_context_takeover" if value is None:
                pass
            case "client_max_window_bits" if value is None or _BITS.fullmatch(value):
                pass  # an inflater for the largest window decodes every smaller one
            case "server_no_context_takeover" if value is None:
                agreed = agreed._replace(takeover=False)
                answer.append(name)
            case "server_max_window_bits" if value and _BITS.fullmatch(value) and int(value) >= SMALLEST_WINDOW:
                agreed = agreed._replace(bits=int(value))
                answer.append(f"{name}={value}")
            case _:
                return None
    # Also where it was not offered (RFC 7692, 7.1.1.2): so no inflater is kept between the messages of a client.
    return agreed._replace(answer="; ".join([*answer, "client_no_context_takeover"]))


def _parameters(offer: str) -> dict[str, str | None] | None:
    """The parameters of an offer of permessage-deflate; None for another extension, and where one comes twice."""
    name = _NAME.match(offer)
    if name is None:
        return None
    parameters: dict[str, str | None] = {}
    at = name.end()
    while at < len(offer):
        found = _PARAMETER.match(offer, at)
        if found is None or found[1] in parameters:
            return None
        value = found[2]
        parameters[found[1]] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value and value.startswith('"') else value
        at = found.end()
    return parameters
