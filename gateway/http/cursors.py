"""Cursors as text: what a page needs to go on, sealed with the kind of query that it belongs to.

A cursor holds nothing that a client could not ask for openly. Its checksum detects damage (a truncated link, an edit by
hand) and cursors of other queries; it protects no secret. Every gateway reads the cursors of the others.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, urlsafe_b64encode

LONGEST = 2048
"""Characters of a cursor; a real one has about 150."""
DAMAGED = "cursor is damaged: take next_cursor as it is, or begin anew without"

HISTORY, CANDLES, COINS = b"pages 1", b"candle 1", b"coins 1"
"""The kinds of cursors, at most 8 bytes each. Change one with the content of its cursors: old ones are then refused."""
_OF = {HISTORY: "history", CANDLES: "candles", COINS: "coins"}

_CHECK_BYTES = 6  # of a BLAKE2 digest: one damaged cursor in 2**48 passes


def seal(kind: bytes, packed: bytes) -> str:
    """The cursor of a kind that holds `packed`, as text that needs no escaping in a URL."""
    return urlsafe_b64encode(_check(kind, packed) + packed).rstrip(b"=").decode()


def unseal(kind: bytes, text: str) -> bytes:
    """What a cursor holds. Raises ValueError for any text that `seal` did not make of this kind."""
    if len(text) > LONGEST:
        raise ValueError("cursor is too long to be one of ours")
    try:
        raw = b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:  # also binascii.Error, and what is not ASCII
        raise ValueError(DAMAGED) from None
    check, packed = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    if urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise ValueError(DAMAGED)
    if check == _check(kind, packed):
        return packed
    for other, name in _OF.items():
        if check == _check(other, packed):
            raise ValueError(f"cursor is one of another endpoint: {name}")
    raise ValueError(DAMAGED)


def _check(kind: bytes, packed: bytes) -> bytes:
    return hashlib.blake2s(packed, digest_size=_CHECK_BYTES, person=kind).digest()
