"""Decodes the bytes of a feed, and mends harmless mistakes in its markup. Pure, in time linear in the feed's length.

Feeds are made by templates, so some are not XML: a control character, an ampersand that is not escaped, an entity of
HTML. Browsers and aggregators read them all the same. What is mended here can't change what another element says, and
nothing that is missing is added: a feed that was cut stays so.
"""

from __future__ import annotations

import codecs
import re
from html.entities import html5

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([\w.:-]{1,40})["']""")
_WESTERN = ("iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "windows-1252", "cp1252")
_ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8", "us-ascii", "ascii"), "utf-8"),
    # As browsers do (https://encoding.spec.whatwg.org/#names-and-labels): where Latin 1 has control characters,
    # Windows 1252 has the quotes that authors meant.
    **dict.fromkeys(_WESTERN, "cp1252"),
    "iso-8859-15": "iso8859-15",
    **{f"windows-{number}": f"cp{number}" for number in range(1250, 1259)},
}
"""Declared encoding → codec. Others are refused: some of Python's codecs take time that grows with the square of the
length.
"""

_MAX_MISTAKES = 10_000
"""Signs of one kind mended between two comments or CDATA sections: twenty for each item, in a tenth of a second. With
more mistakes a feed is refused.
"""

# Between these no character has a meaning of its own, so nothing is mended there. Comments and instructions are left
# out. One that is not closed extends to the end, as for every reader of XML.
_APART = re.compile(r"(<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z))", re.DOTALL)
_LEADING = re.compile(r"\A[\s\ufeff\0]*(?:<\?xml\s[^>]*\?>)?")  # the declared encoding is no longer true
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ANY_REFERENCE = r"(#\d{1,8};|#[xX][0-9A-Fa-f]{1,8};|[A-Za-z][A-Za-z0-9]{0,31};)"
_AMPERSAND = re.compile(rf"&(?!{_ANY_REFERENCE})")
_REFERENCE = re.compile(rf"&(?!(?:amp|lt|gt|quot|apos);){_ANY_REFERENCE}")  # all but those that XML defines
_TAG = re.compile(r"<[^\W\d][^<>]*>")
_ATTRIBUTE = re.compile(r"""\s([^\s=<>"']+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_NO_TAG = re.compile(r"<(?![^\W\d]|[:/!?])")  # "BTC < 50k", "<3"
ITEM = re.compile(r"<(item|entry)(?=[\s>])(?:(?!<\1[\s>]).)*?</\1\s*>", re.DOTALL)
"""One item of a feed, from its start tag to its end tag; an item that doesn't end before the next one is none."""


class UnknownEncodingError(ValueError):
    """A feed is in an encoding that is not read; the message names it."""


def decoded(body: bytes) -> str:
    """The text of a feed, without what precedes the root element but comments.

    UTF-8 is read as such whatever the feed declares, as no other encoding looks like it. A byte that does not fit costs
    a character (U+FFFD). Raises UnknownEncodingError.
    """
    return _LEADING.sub("", _text_of(body), count=1)


def _text_of(body: bytes) -> str:
    for mark, codec in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(codec, "replace")
    if body[1:4:2] == b"\0\0":
        return body.decode("utf-16-le", "replace")
    if body[0:4:2] == b"\0\0":
        return body.decode("utf-16-be", "replace")
    try:
        return body.decode()
    except UnicodeDecodeError:
        found = _DECLARED.match(body)
        name = found[1].decode().lower() if found else "utf-8"
        if name not in _ENCODINGS:
            raise UnknownEncodingError(name) from None
        return body.decode(_ENCODINGS[name], "replace")


def mended(text: str) -> str:
    """`text` without the mistakes that don't affect other elements.

    Left out: characters that XML has not, and references to them; comments, instructions, repeated attributes. Escaped:
    ampersands and less-than signs that begin nothing, entities of HTML and unknown ones. Half an emoji becomes U+FFFD.
    """
    parts = _APART.split(_NOT_XML.sub("", text))
    parts[::2] = [_escaped(part) for part in parts[::2]]
    parts[1::2] = [_kept(part) for part in parts[1::2]]
    joined = "".join(parts)
    if _SURROGATE.search(joined):  # two halves of one character, each written as a reference
        joined = joined.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return joined


def _escaped(part: str) -> str:
    part = _TAG.sub(_attributes_once, part, count=_MAX_MISTAKES)
    part = _NO_TAG.sub("&lt;", part, count=_MAX_MISTAKES).replace("]]>", "]]&gt;")
    return _REFERENCE.sub(_reference, _AMPERSAND.sub("&amp;", part, count=_MAX_MISTAKES), count=_MAX_MISTAKES)


def _kept(part: str) -> str:
    whole = (part.startswith("<!--") and part.endswith("-->")) or (part.startswith("<?") and part.endswith("?>"))
    return "" if whole else part


def _attributes_once(tag: re.Match[str]) -> str:
    """A start tag without the attributes that it has already, such as a name space that two plug-ins declare."""
    kept: dict[str, str] = {}
    found = [kept.setdefault(attribute[1], attribute[0]) for attribute in _ATTRIBUTE.finditer(tag[0])]
    if len(kept) == len(found):
        return tag[0]
    return _ATTRIBUTE.sub(lambda attribute: kept.pop(attribute[1], ""), tag[0])


def _reference(found: re.Match[str]) -> str:
    name: str = found[1]
    if not name.startswith("#"):
        return "".join(f"&#{ord(char)};" for char in html5.get(name, "")) or f"&amp;{name}"
    code = int(name[2:-1], 16) if name[1] in "xX" else int(name[1:-1])
    if code > 0x10FFFF:
        return "\ufffd"
    if _SURROGATE.match(chr(code)):
        return chr(code)
    return "" if _NOT_XML.match(chr(code)) else f"&#{code};"
