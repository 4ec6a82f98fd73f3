"""Content codings of answers: which one a client wants (RFC 9110, section 12.5.3), and bodies in it.

Both libraries release the interpreter's lock while they work, so that a large body is encoded in a thread, beside the
loop that broadcasts. What several clients ask for is encoded once.
"""

from __future__ import annotations

import asyncio
import re
import sys
import zlib
from collections import OrderedDict
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD, GZIP, IDENTITY = "zstd", "gzip", "identity"

WORTH_IT = 1_024
"""Bytes of a body below which it is sent as it is: with its head, it is one packet on the network anyway."""

_ENTRIES = 50  # of an Accept-Encoding that are read; browsers send four
_ENTRY = re.compile(r"\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:;\s*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?")

_GZIP_LEVEL = 4  # of market_data: 2 % larger than level 6, in half the time
_ZSTD_LEVEL = 3  # its default: smaller than gzip's best, in a fifth of the time
_GZIP_FORMAT = 31  # zlib's number for 32 KiB of window and gzip's head and checksum

_AT_ONCE = 16_384  # bytes encoded without a thread, which would take longer: 0.4 ms
_THREADS = 2  # bodies encoded at once: all the cores of a small machine
_SHARED = 2_097_152  # bytes: a larger body is a page of the history, which nobody else asks for
_KEPT = 8_388_608  # bytes of bodies, as they are and encoded: pages of `/docs` are 3 MB; the one used longest ago goes
_SEEN = 1_000  # bodies of which it is remembered that somebody asked for them


def acceptable(header: str | None) -> tuple[str, ...]:
    """The codings that a client accepts, the one it prefers first; `header` is its Accept-Encoding, None without one.

    An entry that is malformed counts as absent. An empty result means that not even an answer as it is would do.
    """
    if header is None:
        return (IDENTITY,)
    weights: dict[str, float] = {}
    for entry in header.split(",", _ENTRIES)[:_ENTRIES]:
        if match := _ENTRY.fullmatch(entry):
            name = match[1].lower().removeprefix("x-")
            weights.setdefault(name, 1.0 if match[2] is None else float(match[2]))
    others = weights.get("*")
    named = [(weights[coding], coding) for coding in (ZSTD, GZIP, IDENTITY) if coding in weights]
    if others is not None:  # gzip first: every client that knows some coding knows it
        named += [(others, coding) for coding in (GZIP, ZSTD, IDENTITY) if coding not in weights]
    elif IDENTITY not in weights:
        named.append((1e-6, IDENTITY))  # acceptable unless excluded, but anything named is preferred
    return tuple(coding for weight, coding in sorted(named, key=lambda each: -each[0]) if weight > 0)


def compress(body: bytes, coding: str) -> bytes:
    """`body` in a coding."""
    if coding == ZSTD:
        return zstd.compress(body, _ZSTD_LEVEL)
    return zlib.compress(body, _GZIP_LEVEL, _GZIP_FORMAT)


class Compressor(Protocol):
    """A body that is encoded piece by piece; each piece can be decoded as soon as it has arrived."""

    def piece(self, data: bytes) -> bytes:
        """The next piece."""
        ...

    def end(self) -> bytes:
        """What ends the body."""
        ...


class _Zstd:
    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=_ZSTD_LEVEL)

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data, zstd.ZstdCompressor.FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._compressor.flush()


class _Gzip:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)

    def piece(self, data: bytes) -> bytes:
        return self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._compressor.flush()


_COMPRESSORS: dict[str, type[Compressor]] = {ZSTD: _Zstd, GZIP: _Gzip}


class Encoder:
    """Encodes bodies: few at once, beside the loop, and once for all who ask for the same."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_THREADS)
        self._encoding: dict[tuple[bytes, str], asyncio.Task[bytes]] = {}
        self._kept: OrderedDict[tuple[bytes, str], bytes] = OrderedDict()
        self._size = 0
        self._seen: OrderedDict[int, None] = OrderedDict()

    async def encode(self, body: bytes, coding: str) -> bytes:
        """`body` in `coding`. What is asked for a second time is kept."""
        if len(body) > _SHARED:
            return await self._beside(body, coding)
        key = body, coding
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        if len(body) <= _AT_ONCE:
            found = compress(body, coding)
            self._keep(key, found)
            return found
        task = self._encoding.get(key)
        if task is None:
            task = self._encoding[key] = asyncio.create_task(self._beside(body, coding))
            task.add_done_callback(lambda _: self._encoding.pop(key))
        found = await asyncio.shield(task)  # one of those who wait may go away
        self._keep(key, found)
        return found

    async def piece(self, compressor: Compressor, data: bytes) -> bytes:
        """The next piece of a body that is encoded as it is made."""
        if len(data) <= _AT_ONCE:
            return compressor.piece(data)
        async with self._turns:
            return await asyncio.to_thread(compressor.piece, data)

    async def _beside(self, body: bytes, coding: str) -> bytes:
        async with self._turns:
            return await asyncio.to_thread(compress, body, coding)

    def _keep(self, key: tuple[bytes, str], encoded: bytes) -> None:
        if hash(key) not in self._seen:
            self._seen[hash(key)] = None
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)
        elif key not in self._kept:
            self._kept[key] = encoded
            self._size += len(key[0]) + len(encoded)
            while self._size > _KEPT:
                (body, _), dropped = self._kept.popitem(last=False)
                self._size -= len(body) + len(dropped)


def compressor_of(coding: str) -> Compressor:
    """A new one, for a coding that is not `identity`."""
    return _COMPRESSORS[coding]()
