"""CoinDesk's feed: titles and texts in CDATA, ids that are not links, several authors, links with utm_* and a slash.

The address with a slash redirects to the one without, which is the one in the feed.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from simulator.feeds import NAMESPACES, cdata, feed_of, page, rfc822
from simulator.host import Host, World
from simulator.world.newsroom import Story

PATH = "/arc/outboundfeeds/rss"
_TRACKED = "?utm_medium=referral&utm_source=rss&utm_campaign=headlines"


def host(world: World) -> Host:
    """www.coindesk.com."""

    async def without_slash(request: Request) -> Response:
        return RedirectResponse(PATH, 308)

    return Host(
        routes=[Route(PATH, feed_of(world, "coindesk", _render)), Route(f"{PATH}/", without_slash)],
        figures=("pubDate",),
        examples=("/arc/outboundfeeds/rss",),
        not_found=page("Page not found"),
        too_many=page("Too Many Requests"),
        server_error=page("Internal Server Error"),
        error_in_200=page("CoinDesk: Bitcoin, Ethereum, Crypto News and Price Data"),
    )


def _render(stories: Sequence[Story], newest: str) -> str:
    items = "\n".join(_item(story) for story in stories)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0"{NAMESPACES}>
  <channel>
    <title>CoinDesk: Bitcoin, Ethereum, Crypto News and Price Data</title>
    <link>https://www.coindesk.com</link>
    <atom:link href="https://www.coindesk.com{PATH}" rel="self" type="application/rss+xml"/>
    <description>Leader in cryptocurrency, Bitcoin, Ethereum, XRP, blockchain, DeFi, digital finance.</description>
    <lastBuildDate>{newest}</lastBuildDate>
    <language>en-US</language>
    <category domain="https://www.coindesk.com">News</category>
    <ttl>5</ttl>
{items}
  </channel>
</rss>
"""


def _item(story: Story) -> str:
    guid = md5(story.link.encode(), usedforsecurity=False).hexdigest()
    second = "" if story.number % 4 else f"\n      <dc:creator>{cdata('AI Boost')}</dc:creator>"
    summary = "" if story.number % 11 == 0 else cdata(story.summary)
    category, *tags = story.categories
    tagged = "".join(f'\n      <category domain="tag">{cdata(tag)}</category>' for tag in tags)
    return f"""    <item>
      <title>{cdata(story.marked or story.title)}</title>
      <link>{escape(story.link + _TRACKED)}</link>
      <media:content url="https://cdn.sanity.io/images/{guid}.jpg" type="image/jpeg" height="1080" width="1920">
        <media:description type="plain">{cdata("(CoinDesk)")}</media:description>
      </media:content>
      <guid isPermaLink="false">{guid}</guid>
      <dc:creator>{cdata(story.author)}</dc:creator>{second}
      <description>{summary}</description>
      <pubDate>{rfc822(story.published)}</pubDate>
      <category domain="https://www.coindesk.com/{category.lower()}/">{cdata(category)}</category>
      <category domain="article-type">{cdata("news")}</category>{tagged}
      <content:encoded></content:encoded>
    </item>"""
