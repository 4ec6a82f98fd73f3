"""Reads the items of a feed: RSS 2.0 and 0.9x, RSS 1.0 (RDF), Atom. Pure.

Specifications: https://www.rssboard.org/rss-specification, https://web.resource.org/rss/1.0/spec, RFC 4287. Only what
an article needs is kept of an item. The reader is expat, without document types, so no entity is ever expanded.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from workers.providers.feed_markup import ITEM, UnknownEncodingError, decoded, mended

MAX_ITEMS = 500
"""Items read of one feed, eight times the longest recorded; a feed has the newest first, and further ones are left out.
"""
_MAX_ELEMENTS = 20_000  # that many take some 30 ms, in which nothing else runs; the longest recorded feed has 1,500
_MAX_TEXT = 4000  # characters kept of an element; texts.py reads no more of a title, and a link may have half of it
_MAX_TEXTS = 100  # elements kept per item, of which categories are the most; further ones are ignored

_ROOTS = frozenset({"rss", "feed", "atom:feed", "rdf:rdf"})
_PARENTS = _ROOTS | {"channel"}
_ITEMS = frozenset({"item", "entry", "atom:entry", "rss1:item"})
_PREFIXES = {
    "http://www.w3.org/2005/Atom": "atom",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
}
"""Name space → its usual prefix. A feed may use another one; one that it does not declare is the usual one."""
_KEPT = frozenset(
    {
        *("title", "atom:title", "dc:title"),
        *("link", "atom:link"),
        *("guid", "id", "atom:id"),
        *("pubdate", "published", "atom:published", "dcterms:issued", "issued", "dc:date"),
        *("category", "atom:category", "dc:subject"),
    }
)


class FeedError(ValueError):
    """The bytes are no feed, or not a whole one. The message says why."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of an item."""

    attributes: Mapping[str, str]
    """By their lower-case names."""
    text: str
    """Of the elements within it too."""


@dataclass(slots=True)
class Item:
    """The elements of one item by their lower-case names, in the feed's order."""

    elements: dict[str, list[Element]] = field(default_factory=dict)

    def all(self, *names: str) -> list[Element]:
        """The elements of these names, those of the first name first."""
        return [element for name in names for element in self.elements.get(name, ())]


def read(body: bytes) -> tuple[list[Item], int]:
    """The items of the feed in `body`, and the number of those that were left out.

    An item is left out if it is no XML, or beyond MAX_ITEMS. Of several documents in `body` the first is read. Raises
    FeedError for other documents, a document type, and a feed that is not whole.
    """
    try:
        text = decoded(body)
    except UnknownEncodingError as error:
        raise FeedError(f"encoding {error} is not read") from None
    with contextlib.suppress(expat.ExpatError):
        return _read(text)
    text = mended(text)
    try:
        return _read(text)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
    # Perhaps an item has markup of its own that does not fit: a description in HTML without CDATA. What remains without
    # such items must be a whole document, so nothing that was cut gets through.
    text, misfits = _without_misfits(text)
    if misfits:
        with contextlib.suppress(expat.ExpatError):
            items, left_out = _read(text)
            return items, left_out + misfits
    raise FeedError(f"not a whole feed: {reason}")


def _read(text: str) -> tuple[list[Item], int]:
    reader = _Reader()
    reader.read(text)
    return reader.items, reader.left_out


def _without_misfits(text: str) -> tuple[str, int]:
    """`text` without the items that are no XML, and their number."""
    misfits = 0

    def kept(item: re.Match[str]) -> str:
        nonlocal misfits
        try:
            expat.ParserCreate("utf-8").Parse(item[0].encode(), True)
        except expat.ExpatError:
            misfits += 1
            return ""
        return item[0]

    return ITEM.sub(kept, text), misfits


class _WholeError(Exception):
    """Not an error: the root element has ended."""


class _Reader:
    def __init__(self) -> None:
        self.items: list[Item] = []
        self.left_out = 0
        self._open: list[str] = []
        self._elements = 0
        self._prefixes: dict[str, str] = {}
        self._within = 0  # depth of the item that is read, 0 outside of one
        self._kept: Mapping[str, str] | None = None  # attributes of the element that is read
        self._texts: list[str] = []
        self._length = 0

    def read(self, text: str) -> None:
        """Read the first document in `text`. Raises expat.ExpatError if it is no XML or not whole, and FeedError."""
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        with contextlib.suppress(_WholeError):
            parser.Parse(text.encode(), True)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > _MAX_ELEMENTS:
            raise FeedError("more elements than a feed has")
        for name, value in attributes.items():
            if name.startswith("xmlns:"):
                self._prefixes[name[6:]] = _PREFIXES.get(value, name[6:])
        name = self._name(tag)
        if not self._open and name not in _ROOTS:
            raise FeedError("not a feed, but another document")
        depth = len(self._open)
        if name in _ITEMS and not self._within and self._open and self._open[-1] in _PARENTS:
            if len(self.items) < MAX_ITEMS:
                self._within = depth + 1
                self.items.append(Item())
            else:
                self.left_out += 1
        elif self._within and depth == self._within and name in _KEPT:
            self._kept = {name.lower(): value for name, value in attributes.items()}
            self._texts, self._length = [], 0
        self._open.append(name)

    def _text(self, text: str) -> None:
        if self._kept is not None and self._length < _MAX_TEXT:
            self._texts.append(text[: _MAX_TEXT - self._length])
            self._length += len(self._texts[-1])

    def _end(self, tag: str) -> None:
        name = self._open.pop()
        depth = len(self._open)
        if not depth:
            raise _WholeError
        if self._kept is not None and depth == self._within:
            elements = self.items[-1].elements.setdefault(name, [])
            if len(elements) < _MAX_TEXTS:
                elements.append(Element(self._kept, "".join(self._texts)))
            self._kept = None
        elif self._within and depth < self._within:
            self._within = 0

    def _doctype(self, *what: object) -> NoReturn:
        raise FeedError("a document type, which feeds have not")

    def _name(self, tag: str) -> str:
        """An element's name in lower case (feeds differ in theirs), with the usual prefix."""
        prefix, colon, local = tag.rpartition(":")
        return f"{self._prefixes.get(prefix, prefix)}{colon}{local}".lower()
