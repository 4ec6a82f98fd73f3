"""The Block's feed: times in New York's zone, links with utm_*, its own name among the categories, indented texts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from xml.sax.saxutils import escape

from starlette.routing import Route

from simulator.feeds import NAMESPACES, cdata, feed_of, page
from simulator.host import Host, World
from simulator.world.newsroom import Story

_NEW_YORK = timezone(timedelta(hours=-5))  # the feed was recorded in winter
_TRACKED = "?utm_source=rss&utm_medium=rss"


def host(world: World) -> Host:
    """www.theblock.co."""
    return Host(
        routes=[Route("/rss.xml", feed_of(world, "theblock", _render))],
        figures=("pubDate",),
        examples=("/rss.xml",),
        not_found=page("404 | The Block"),
        too_many=page("Access denied | www.theblock.co used Cloudflare to restrict access"),
        server_error=page("500 | The Block"),
        error_in_200=page("The Block | Bitcoin, Ethereum, and Crypto News"),
    )


def _render(stories: Sequence[Story], newest: str) -> str:
    items = "\n".join(_item(story) for story in stories)
    return f"""<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"{NAMESPACES}
    >

<channel>
    <title>The Block</title>

    <atom:link href="https://www.theblock.co/rss.xml" rel="self" type="application/rss+xml" />
    <atom:link href="https://www.theblock.co/rss.xml?paged=2" rel="next" type="application/rss+xml" />

    <link>https://www.theblock.co/rss.xml</link>
    <description>News from the web&#039;s most reliable source.</description>
    <lastBuildDate >{newest}</lastBuildDate>
    <language>en-US</language>
    <ttl>8</ttl>

{items}
    </channel>
</rss>
"""


def _item(story: Story) -> str:
    moment = format_datetime(datetime.fromtimestamp(story.published, _NEW_YORK))
    categories = "\n".join(f"\t\t<category>{cdata(name)}</category>" for name in (*story.categories, "The Block"))
    text = cdata(f"\n            <p>{escape(story.summary)}</p>\n        ")
    return f"""        <item>
        <title>{escape(story.marked or story.title)}</title>
        <link>{escape(story.link + _TRACKED)}</link>
        <pubDate>{moment}</pubDate>
        <dc:creator>{cdata(story.author)}</dc:creator>

        {categories}

        <guid isPermaLink="false">https://www.theblock.co/post/{story.number}</guid>

            <description>{text}</description>
        <content:encoded>{text}</content:encoded>
            </item>"""
