"""Mends JSON bodies whose only fault is in a text, so that half an emoji costs one character and not the answer. Pure.

Upstreams that cut texts by UTF-16 units send one half of a surrogate pair (`"\\ud83d"`), those that cut by bytes send
the beginning of a UTF-8 sequence. RFC 8259 (sections 8.1 and 8.2) allows the first form and leaves it to readers;
msgspec refuses both with an error that would cost the whole answer.
"""

from __future__ import annotations

import re

_BOM = b"\xef\xbb\xbf"
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
"""One escape: a whole pair, half a pair, or any other. An escaped backslash before `ud83d` is of the last kind."""
_SURROGATES = re.compile(rb"(?:\xed[\xa0-\xbf][\x80-\xbf])+")
"""Surrogates as UTF-8 would encode them if it allowed them; two in a row may be a pair (CESU-8)."""
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\Z)|-?\b(?:NaN|Infinity)\b', re.DOTALL)


def with_whole_texts(body: bytes) -> bytes:
    """`body` with U+FFFD for every half of a surrogate pair and every byte sequence that is not UTF-8.

    Surrogate pairs that were encoded as two sequences of three bytes (CESU-8) become their character. A byte order
    mark at the beginning is removed. What is not JSON for another reason stays as it is.
    """
    try:
        body.decode()
    except UnicodeDecodeError:
        body = _SURROGATES.sub(_joined, body).decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], body.removeprefix(_BOM))


def with_nulls(body: bytes) -> bytes:
    """`body` with null for each bare NaN or Infinity, which Python's json writes and JSON does not have."""
    return _TOKEN.sub(lambda found: found[0] if found[0].startswith(b'"') else b"null", body)


def _joined(found: re.Match[bytes]) -> bytes:
    units = found[0].decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass")
    return units.decode("utf-16-le", "replace").encode()
