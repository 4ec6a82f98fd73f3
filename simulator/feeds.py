"""Shared by the simulated feeds: one XML document; clients that have it already get 304."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import md5
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

from simulator.host import World
from simulator.world.newsroom import Newsroom, Story

Render = Callable[[Sequence[Story], str], str]
"""Called as (stories, time of the newest in RFC 822 form): the feed's XML."""

NAMESPACES = """
  xmlns:content="http://purl.org/rss/1.0/modules/content/"
  xmlns:dc="http://purl.org/dc/elements/1.1/"
  xmlns:atom="http://www.w3.org/2005/Atom"
  xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"
  xmlns:media="http://search.yahoo.com/mrss/\""""


def page(title: str) -> str:
    """The HTML page that these sites send in place of a feed."""
    return f'<!DOCTYPE html><html lang="en"><head><title>{title}</title></head><body><h1>{title}</h1></body></html>'


def feed_of(world: World, key: str, render: Render) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of the outlet's feed, with ETag and Last-Modified."""
    newsroom = Newsroom(world.market)

    async def feed(request: Request) -> Response:
        stories = newsroom.feed(key, world.clock.now())
        newest = rfc822(max(story.published for story in stories))
        body = render(stories, newest).encode()
        etag = f'"{md5(body, usedforsecurity=False).hexdigest()}"'
        headers = {"etag": etag, "last-modified": newest.replace("+0000", "GMT"), "cache-control": "max-age=60"}
        if _is_known(request, etag, stories):
            return Response(None, 304, headers)
        return Response(body, headers={**headers, "content-type": "application/xml; charset=utf-8"})

    return feed


def rfc822(seconds: float) -> str:
    """`Fri, 12 Dec 2025 16:57:28 +0000`."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


def cdata(text: str) -> str:
    """A CDATA section."""
    return f"<![CDATA[{text}]]>"


def numeric(text: str) -> str:
    """`text` escaped as Django does it, with apostrophes as numeric entities."""
    return escape(text, {"'": "&#39;", '"': "&quot;"})


def _is_known(request: Request, etag: str, stories: Sequence[Story]) -> bool:
    """Whether the client has this version already; an ETag takes precedence over a date."""
    if (known := request.headers.get("if-none-match")) is not None:
        return etag in (tag.strip().removeprefix("W/") for tag in known.split(",")) or known.strip() == "*"
    if (since := request.headers.get("if-modified-since")) is None:
        return False
    try:
        moment = parsedate_to_datetime(since)
    except ValueError:
        return False
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() >= max(story.published for story in stories)
