"""Cointelegraph's feed: links in CDATA with utm_*, descriptions that begin with an image. 403 without a User-Agent."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from simulator.feeds import NAMESPACES, cdata, feed_of, page, rfc822
from simulator.host import Host, World
from simulator.world.newsroom import Story

_TRACKED = "?utm_source=rss_feed&utm_medium=rss&utm_campaign=rss_partner_inbound"
_CATEGORISED = 5  # one in this many articles has categories


def host(world: World) -> Host:
    """cointelegraph.com."""
    feed = feed_of(world, "cointelegraph", _render)

    async def for_those_who_say_who_they_are(request: Request) -> Response:
        if not request.headers.get("user-agent"):
            return HTMLResponse(page("403 Forbidden"), 403)
        return await feed(request)

    return Host(
        routes=[Route("/rss", for_those_who_say_who_they_are)],
        figures=("pubDate",),
        examples=("/rss",),
        not_found=page("Page Not Found"),
        too_many=page("Error 1015: You are being rate limited"),
        server_error=page("500: Internal server error"),
        error_in_200=page("Cointelegraph: Bitcoin, Ethereum, Crypto News &amp; Price Indexes"),
    )


def _render(stories: Sequence[Story], newest: str) -> str:
    items = "\n".join(_item(story) for story in stories)
    return f"""<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0"{NAMESPACES}>
  <channel>
    <title>Cointelegraph.com News</title>
    <link>https://cointelegraph.com</link>
    <atom:link href="https://cointelegraph.com/rss" rel="self" type="application/rss+xml"/>
    <description>Cointelegraph covers fintech, blockchain and Bitcoin.</description>
    <lastBuildDate>{newest}</lastBuildDate>
    <language>en</language>
    <sy:updatePeriod>hourly</sy:updatePeriod>
{items}
  </channel>
</rss>
"""


def _item(story: Story) -> str:
    image = f"https://images.cointelegraph.com/images/528_{story.number}.jpg"
    alt = escape(story.title, {'"': "&quot;"})
    categories = story.categories if story.number % _CATEGORISED == 0 else ()
    tags = "".join(f"\n      <category>{escape(category)}</category>" for category in categories)
    text = (
        f'<p style="float:right; margin:0 0 10px 15px; width:240px;"><img src="{image}" alt="{alt}"></p>'
        f"<p>{escape(story.summary)}</p>"
    )
    return f"""    <item>
      <title>{escape(story.marked or story.title)}</title>
      <pubDate>{rfc822(story.published)}</pubDate>
      <guid>{story.link}</guid>
      <link>{cdata(story.link + _TRACKED)}</link>
      <description>{cdata(text)}</description>
      <dc:creator>Cointelegraph by {escape(story.author)}</dc:creator>{tags}
      <media:content url="{image}" medium="image"/>
      <enclosure url="{image}" length="528" type="image/jpg"/>
    </item>"""
