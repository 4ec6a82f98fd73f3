"""Tells a web page from data by the body. The Content-Type is not believed: some servers send data as `text/html`."""

from __future__ import annotations

import re

_HEAD = 4096
"""Bytes at the beginning of a body that are searched for a page's first tag; before it are comments at most."""
_LEADING = b"\xef\xbb\xbf\xff\xfe \t\r\n\f\v"
"""White space and byte order marks."""
_PAGE = re.compile(
    rb"(?:\s++|<\?[^>]*+>|<!--(?>.*?-->))*+<(?:!doctype\s+html|(?:html|head|body|title|script|meta|center|h1|div|p)[\s>])",
    re.IGNORECASE | re.DOTALL,
)
_DATA = re.compile(rb'[{\["]|(?:true|false|null|[-+.\dA-Fa-f]++)\s*\Z')
"""The beginning of a JSON object, array or string, or another value as a whole; also a hash, as nodes send it."""


def is_page(body: bytes | bytearray, content_type: str, *, markup: bool) -> bool:
    """Whether `body` is a web page, or a notice labelled as one, where data was asked for.

    `markup` tells that the data begins with `<`, as feeds do. A text without tags is a notice if it is labelled as HTML
    and can't be data. Whether other bodies are data is for their parser to find out.
    """
    head = bytes(body[:_HEAD]).replace(b"\0", b"").lstrip(_LEADING)  # of UTF-16 the bytes that are ASCII remain
    if head.startswith(b"<"):
        return not markup or _PAGE.match(head) is not None
    return "html" in content_type.lower() and (markup or _DATA.match(head) is None)
