"""What the providers of RSS feeds share: the bytes of one feed as headlines, by feedparser.

feedparser is made to read anything at all, and so is kept from four habits of its own: it takes bytes that are a file's
name for that file (so it gets a stream), tries other encodings (so it is told UTF-8, which is checked before), keeps
what it can of a broken feed (so the feed must be well-formed: half an update is none), and lets entities grow (so there
is no document type, which no feed of ours has). It never gets an address, so it never fetches.
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
"""Bytes of a feed: twelve times the largest recorded; beyond it the call fails."""
_ACCEPT = "application/rss+xml, application/xml;q=0.9, */*;q=0.1"

# A feed that has more than this is not what it seems, and is refused. Parts of feedparser take time in proportion to
# the square of some of these, and nothing else runs meanwhile: within these limits it is done in about a second.
_MAX_ITEMS = 500  # eight times the longest feed recorded
_MAX_IN_ITEM = 200  # elements from one item to the next; the most recorded are 40
_MAX_ELEMENTS = 20_000
_MAX_DEPTH = 100  # elements within one another; feeds have 5
_MAX_ATTRIBUTES = 40  # of one element; the most are the name spaces of a feed, some ten
_MAX_NAMESPACES = 40  # declared in the whole feed
_MAX_TEXT = 2048  # characters of an element that is no article's text; the longest are links
_MAX_NAME = 256  # characters of a person's name, in which feedparser looks for an address at every letter anew
_LONG = frozenset({"description", "summary", "content", "content:encoded", "media:description"})
_NAMES = ("author", "creator", "contributor", "editor", "publisher", "webmaster", "owner", "name", "email")
_MAX_TITLE = 300  # characters, twice the longest recorded; the rest is cut off
_MAX_GUID = 500  # characters; a longer one counts as none
_MAX_CATEGORIES = 30  # of one article, twice the most recorded; further ones are dropped
_MAX_CATEGORY = 60  # characters; a longer one is a sentence, and is dropped
_TIMED = re.compile(
    r":\d\d(?:\.\d+)?\s*(?:[+-](?:0\d|1[0-4]):?[0-5]\d|UTC?|GMT|Z|[ECMPA][SD]T)\s*\Z", re.IGNORECASE | re.ASCII
)
"""The end of a date that says its time and zone: by an offset, or by a name of RFC 822 or of North America's Atlantic
coast. feedparser takes any other name (CET, IST) for UTC, an offset of days for one, and a day for its midnight."""
_HEAD = re.compile(rb"<\w")
_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_ROOTS = frozenset({"rss", "feed", "rdf:rdf"})
_WORDS = {"content-type": "application/xml; charset=utf-8"}
_ITS_OWN = (LookupError, ValueError, TypeError, AttributeError, RecursionError)
"""What feedparser fails with on markup that it did not foresee (a category outside of an item is a KeyError): it
documents no errors of its own."""


class Feed(NewsSource):
    """An outlet's feed as a provider: what is the same for all of them."""

    path: ClassVar[str]
    """Of the feed, below `base_url`."""
    budget = Budget(10, 60.0)  # no limit is known; once a minute is what we need, the rest is for restarts
    refresh = 0.0
    probe_plan = ProbePlan(90.0, 5)  # regenerated at most every five minutes; news already polls it

    def headers(self) -> Mapping[str, str]:
        """What it may answer with."""
        return {"Accept": _ACCEPT}

    async def probe(self, ask: Ask) -> None:
        """See Provider. The feed, where it has changed since this process read it last."""
        await self.headlines(ask)

    async def headlines(self, ask: Ask) -> tuple[Headline, ...]:
        """See NewsSource. Most of the time, the answer is that nothing has changed."""
        parse = self.parsers["feed"]
        found: tuple[Headline, ...] = await ask(
            Request(self.path, parse, markup=True, conditional=True, limit=MAX_FEED)
        )
        return found


def parse_rss(provider: str, outlet: str, body: bytes, *, not_categories: Collection[str] = ()) -> tuple[Headline, ...]:
    """Every article of one feed with a title, an http(s) link and a time, in its order.

    `not_categories` are values of `domain` under which the feed says something else about its articles. What has no
    time is left out: none is invented for it. Raises ProviderError for anything that is not a whole feed with at least
    one such article.
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
    """Looks at all of a feed before feedparser does: cheap, in C, and it stops at the first thing that is too much."""

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
    """Raise ProviderError unless `body` is well-formed, in UTF-8, of bearable size, and free of declarations."""
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
    # feedparser looks for declarations by regular expression, and so finds them in comments too.
    first = _HEAD.search(body)
    if _DECLARATION.search(body, 0, first.start() if first else len(body)):
        raise ProviderError(provider, "a document type, which feeds have not")


def _headline(outlet: str, entry: FeedParserDict, not_categories: Collection[str]) -> Headline | None:
    """One item, or None where something is missing that an article must have."""
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
        published=float(calendar.timegm(moment)),  # feedparser's times are UTC, whatever zone the feed gave
        guid=guid if len(guid) <= _MAX_GUID else "",
        categories=_categories(outlet, entry, not_categories),
    )


def _categories(outlet: str, entry: FeedParserDict, not_categories: Collection[str]) -> tuple[str, ...]:
    """The item's categories, each once in whatever case; its outlet's own name says nothing and is none."""
    found: dict[str, str] = {}
    for tag in entry.get("tags", ()):
        name = plain(_text(tag, "term"), _MAX_CATEGORY + 1)
        if name and len(name) <= _MAX_CATEGORY and tag.get("scheme") not in not_categories:
            found.setdefault(name.casefold(), name)
    found.pop(outlet.casefold(), None)
    return tuple(found.values())[:_MAX_CATEGORIES]


def _text(entry: FeedParserDict, key: str) -> str:
    """A text of an entry; feedparser puts maps in its place where the feed gave the element attributes."""
    value = entry.get(key)
    return value if isinstance(value, str) else ""
