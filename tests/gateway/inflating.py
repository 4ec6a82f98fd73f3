"""A client that negotiated permessage-deflate, as far as its receiving end goes: frames, and a real inflater."""

from __future__ import annotations

import zlib

_LITTLE = 128


def decoded(wire: bytes, bits: int = 15, *, takeover: bool = True) -> list[bytes]:
    """The messages of unmasked, unfragmented frames, inflated with a window of 2 to the power of `bits` bytes.

    Raises zlib.error for what that window can't decode. It inflates a smaller one little by little: zlib finds whatever
    it has inflated in one go, also beyond its window.
    """
    messages, at, inflater = [], 0, zlib.decompressobj(-bits)
    while at < len(wire):
        first, size, at = wire[at], wire[at + 1], at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(wire[at : at + width], "big"), at + width
        payload, at = wire[at : at + size], at + size
        assert len(payload) == size
        assert first & 0xB0 == 0x80  # FIN, and neither RSV2 nor RSV3
        if first & 0x40:
            if not takeover:
                inflater = zlib.decompressobj(-bits)
            payload = inflater.decompress(payload + b"\0\0\xff\xff", 0 if bits == 15 else _LITTLE)
            while inflater.unconsumed_tail:
                payload += inflater.decompress(inflater.unconsumed_tail, _LITTLE)
            assert not inflater.eof
        messages.append(payload)
    return messages
