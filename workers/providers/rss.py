"""Shared by the providers of RSS feeds: parses the bytes of one feed into headlines, with feedparser.

feedparser accepts nearly any input, so the input is restricted first. It opens a file if the bytes are a file name, so
it gets a stream. It tries other encodings, so the feed must be UTF-8, and the encoding is passed. It keeps parts of a
broken feed, so the feed must be well-formed. It expands entities, so a document type is refused; none of our feeds has
one. It gets no address, so it fetches nothing.
"""

from __future__ import annotations

import calendar
import io
import re
from collections.abc import Collection, Mapping
from typing import ClassVar
from xml.parsers import expat

import feedparser
from feedparser import FeedParserDict

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Headline
from workers.answers.texts import canonical_link, plain
from workers.asking.ports import NewsSource
from workers.asking.provider import Ask, ProbePlan, Request

MAX_FEED = 1 << 20
"""Bytes of a feed: twelve times the largest recorded; a larger one fails the call."""
_ACCEPT = "application/rss+xml, application/xml;q=0.9, */*;q=0.1"

# A feed beyond these limits is refused. The time of parts of feedparser grows with the square of some of these figures,
# and it blocks the event loop. Within these limits it takes about a second.
_MAX_ITEMS = 500  # eight times the longest feed recorded
_MAX_IN_ITEM = 200  # elements from one item to the next; the most recorded are 40
_MAX_ELEMENTS = 20_000
_MAX_DEPTH = 100  # depth of nested elements; feeds have 5
_MAX_ATTRIBUTES = 40  # attributes per element; the root has the most: some ten name spaces
_MAX_NAMESPACES = 40  # name spaces declared in the whole feed
_MAX_TEXT = 2048  # characters of an element other than an article's text; the longest are links
_MAX_NAME = 256  # characters of a person's name; feedparser searches it for an address from every letter on
_LONG = frozenset({"description", "summary", "content", "content:encoded", "media:description"})
_NAMES = ("author", "creator", "contributor", "editor", "publisher", "webmaster", "owner", "name", "email")
_MAX_TITLE = 300  # characters, twice the longest recorded; the rest is cut off
_MAX_GUID = 500  # characters; a longer one is ignored
_MAX_CATEGORIES = 30  # per article, twice the most recorded; further ones are dropped
_MAX_CATEGORY = 60  # characters; a longer one is a sentence and is dropped
_TIMED = re.compile(
    r":\d\d(?:\.\d+)?\s*(?:[+-](?:0\d|1[0-4]):?[0-5]\d|UTC?|GMT|Z|[ECMPA][SD]T)\s*\Z", re.IGNORECASE | re.ASCII
)
"""The end of a date with time and zone: an offset, or a zone name of RFC 822 or of North America's Atlantic coast.
feedparser reads any other name (CET, IST) as UTC, accepts offsets of days, and reads a date without time as midnight.
"""
_HEAD = re.compile(rb"<\w")
_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_ROOTS = frozenset({"rss", "feed", "rdf:rdf"})
_WORDS = {"content-type": "application/xml; charset=utf-8"}
_ITS_OWN = (LookupError, ValueError, TypeError, AttributeError, RecursionError)
"""Errors that feedparser raises for unexpected markup (KeyError for a category outside of an item). It documents none.
"""


class Feed(NewsSource):
    """Base class of providers of an outlet's feed."""

    path: ClassVar[str]
    """The feed's path below `base_url`."""
    budget = Budget(10, 60.0)  # no limit is published; we need one per minute, the rest is for restarts
    refresh = 0.0
    probe_plan = ProbePlan(
        90.0, 5
    )  # regenerated at most every five minutes; news already polls it, so a probe adds nothing

    def headers(self) -> Mapping[str, str]:
        """The accepted media types."""
        return {"Accept": _ACCEPT}

    async def probe(self, ask: Ask) -> None:
        """See Provider. The feed, as a conditional request."""
        await self.headlines(ask)

    async def headlines(self, ask: Ask) -> tuple[Headline, ...]:
        """See NewsSource. A conditional request: usually nothing has changed."""
        parse = self.parsers["feed"]
        found: tuple[Headline, ...] = await ask(
            Request(self.path, parse, markup=True, conditional=True, limit=MAX_FEED)
        )
        return found


def parse_rss(provider: str, outlet: str, body: bytes, *, not_categories: Collection[str] = ()) -> tuple[Headline, ...]:
    """Every article of one feed with a title, an http(s) link and a time, in the feed's order.

    `not_categories` are values of `domain` that don't mark a category. Articles without a time are left out. Raises
    ProviderError if the feed is incomplete or has no such article.
    """
    _check(provider, body)
    try:
        feed = feedparser.parse(
            io.BytesIO(body), response_headers=_WORDS, sanitize_html=False, resolve_relative_uris=False
        )
    except _ITS_OWN as error:
        raise ProviderError(provider, f"not a feed: {type(error).__name__} of feedparser") from None
    if feed.bozo:
        raise ProviderError(provider, f"not a whole feed: {type(feed.bozo_exception).__name__}")
    if not feed.entries:
        raise ProviderError(provider, "no item in the feed")
    headlines = tuple(
        headline for entry in feed.entries if (headline := _headline(outlet, entry, not_categories)) is not None
    )
    if not headlines:
        raise ProviderError(provider, "no item with title, link and time", field="item")
    return headlines


class _Census:
    """Checks a feed's size and structure before feedparser reads it. It runs in C and stops at the first excess."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._open: list[str] = []
        self._elements = self._items = self._in_item = self._namespaces = self._text = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = tag.lower()
        if not self._elements and tag not in _ROOTS:
            raise ProviderError(self._provider, "not a feed, but another document")
        if tag in ("item", "entry"):
            self._items += 1
            self._in_item = 0
        self._open.append(tag)
        self._elements += 1
        self._in_item += 1
        self._namespaces += sum(name.startswith("xmlns") for name in attributes)
        self._text = 0
        if (
            self._items > _MAX_ITEMS
            or self._in_item > _MAX_IN_ITEM
            or self._elements > _MAX_ELEMENTS
            or len(self._open) > _MAX_DEPTH
            or len(attributes) > _MAX_ATTRIBUTES
            or self._namespaces > _MAX_NAMESPACES
        ):
            raise ProviderError(self._provider, "more items, elements or attributes than a feed has")

    def end(self, tag: str) -> None:
        self._open.pop()
        self._text = 0

    def text(self, text: str) -> None:
        self._text += len(text)
        tag = self._open[-1]
        most = _MAX_NAME if tag.endswith(_NAMES) else _MAX_TEXT
        if self._text > most and tag not in _LONG and not text.isspace():
            raise ProviderError(self._provider, "longer texts than a feed has", field=tag[:_MAX_CATEGORY])

    def doctype(self, *what: object) -> None:
        raise ProviderError(self._provider, "a document type, which feeds have not")


def _check(provider: str, body: bytes) -> None:
    """Raise ProviderError unless `body` is well-formed UTF-8 within the limits and without declarations."""
    try:
        body.decode()
    except UnicodeDecodeError:
        raise ProviderError(provider, "bytes that are not UTF-8") from None
    census = _Census(provider)
    reader = expat.ParserCreate("utf-8")
    reader.StartElementHandler = census.start
    reader.EndElementHandler = census.end
    reader.CharacterDataHandler = census.text
    reader.StartDoctypeDeclHandler = census.doctype
    try:
        reader.Parse(body, True)
    except expat.ExpatError as error:
        raise ProviderError(provider, f"not a whole feed: {expat.ErrorString(error.code)}") from None
    # feedparser searches declarations by regular expression, so it also finds them in comments.
    first = _HEAD.search(body)
    if _DECLARATION.search(body, 0, first.start() if first else len(body)):
        raise ProviderError(provider, "a document type, which feeds have not")


def _headline(outlet: str, entry: FeedParserDict, not_categories: Collection[str]) -> Headline | None:
    """One item, or None if it lacks something that an article must have."""
    title = plain(_text(entry, "title"), _MAX_TITLE)
    url = canonical_link(_text(entry, "link"))
    moment = entry.get("published_parsed") if _TIMED.search(_text(entry, "published")) else None
    guid = _text(entry, "id").strip()
    if not title or url is None or moment is None:
        return None
    return Headline(
        title=title,
        url=url,
        outlet=outlet,
        published=float(calendar.timegm(moment)),  # feedparser converts times to UTC
        guid=guid if len(guid) <= _MAX_GUID else "",
        categories=_categories(outlet, entry, not_categories),
    )


def _categories(outlet: str, entry: FeedParserDict, not_categories: Collection[str]) -> tuple[str, ...]:
    """The item's categories, each once regardless of case; the outlet's own name is left out."""
    found: dict[str, str] = {}
    for tag in entry.get("tags", ()):
        name = plain(_text(tag, "term"), _MAX_CATEGORY + 1)
        if name and len(name) <= _MAX_CATEGORY and tag.get("scheme") not in not_categories:
            found.setdefault(name.casefold(), name)
    found.pop(outlet.casefold(), None)
    return tuple(found.values())[:_MAX_CATEGORIES]


def _text(entry: FeedParserDict, key: str) -> str:
    """A text of an entry; for an element with attributes feedparser has a map instead."""
    value = entry.get(key)
    return value if isinstance(value, str) else ""
