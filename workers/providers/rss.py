"""Shared by the providers of RSS feeds: makes headlines of the items of one feed. ADR 34 says what is read and why.

What a feed's server says of its type and encoding, and what the feed declares, is not believed where the bytes say
otherwise. A mistake costs the character, text or item that it is in; a feed that is not whole is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Headline
from workers.answers.dates import feed_time
from workers.answers.texts import canonical_link, plain
from workers.asking.ports import NewsSource
from workers.asking.provider import Ask, ProbePlan, Request
from workers.asking.rows import note_left_out, note_read
from workers.providers.feed_items import Element, FeedError, Item, read

MAX_FEED = 1 << 20
"""Bytes of a feed: twelve times the largest recorded; a larger one fails the call."""
_ACCEPT = "application/rss+xml, application/xml;q=0.9, */*;q=0.1"
_MAX_TITLE = 300  # characters, twice the longest recorded; the rest is cut off
_MAX_GUID = 500  # characters; a longer one is ignored
_MAX_CATEGORIES = 30  # per article, twice the most recorded; further ones are dropped
_MAX_CATEGORY = 60  # characters; a longer one is a sentence and is dropped


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

    `not_categories` are values of `domain` that don't mark a category. Items without one of the three are left out; a
    time that can't be read to its end, zone included, is none. Raises ProviderError if the feed is not whole or has no
    such article.
    """
    try:
        items, left_out = read(body)
    except FeedError as error:
        raise ProviderError(provider, str(error), kind="shape") from None
    if not items:
        raise ProviderError(provider, "no item in the feed", kind="shape")
    note_read(len(items) + left_out)
    if left_out:
        note_left_out("item", "no XML, or too many of them", left_out)
    headlines = tuple(headline for item in items if (headline := _headline(outlet, item, not_categories)) is not None)
    if not headlines:
        raise ProviderError(provider, "no item with title, link and time", field="item")
    return headlines


def _headline(outlet: str, item: Item, not_categories: Collection[str]) -> Headline | None:
    """One item, or None if it lacks something that an article must have, which is noted."""
    titles = (plain(element.text, _MAX_TITLE) for element in item.all("title", "atom:title", "dc:title"))
    title = next(filter(None, titles), None)
    url = _link(item)
    published = _published(item)
    if title is None or url is None or published is None:
        field = "title" if title is None else "link" if url is None else "pubDate"
        note_left_out(field, "absent, or can't be read to its end")
        return None
    guid = next((element.text.strip() for element in item.all("guid", "id", "atom:id")), "")
    return Headline(
        title=title,
        url=url,
        outlet=outlet,
        published=published,
        guid=guid if len(guid) <= _MAX_GUID else "",
        categories=_categories(outlet, item, not_categories),
    )


def _link(item: Item) -> str | None:
    """The first link to the article that is one. In RSS a guid is one too, unless it says otherwise."""
    links = [
        element.attributes.get("href", element.text)
        for element in item.all("link", "atom:link")
        if element.attributes.get("rel", "alternate") == "alternate"
    ]
    guids = [
        element.text
        for element in item.all("guid")
        if element.attributes.get("ispermalink", "true").strip().lower() == "true"
    ]
    return next((url for link in links + guids if (url := canonical_link(link)) is not None), None)


def _published(item: Item) -> float | None:
    """The first time that can be read. The time of a change (`updated`) is none of publication."""
    dates = item.all("pubdate", "published", "atom:published", "dcterms:issued", "issued", "dc:date")
    return next((moment for element in dates if (moment := feed_time(element.text)) is not None), None)


def _categories(outlet: str, item: Item, not_categories: Collection[str]) -> tuple[str, ...]:
    """The item's categories, each once regardless of case; the outlet's own name is left out."""
    found: dict[str, str] = {}
    for element in item.all("category", "atom:category", "dc:subject"):
        if element.attributes.get("domain") in not_categories:
            continue
        name = plain(_term(element), _MAX_CATEGORY + 1)
        if name and len(name) <= _MAX_CATEGORY:
            found.setdefault(name.casefold(), name)
    found.pop(outlet.casefold(), None)
    return tuple(found.values())[:_MAX_CATEGORIES]


def _term(element: Element) -> str:
    """A category's name: the text in RSS, an attribute in Atom."""
    return element.text or element.attributes.get("label") or element.attributes.get("term", "")
