"""Decrypt's feed: blank lines, ids that look like links, empty categories, numeric entities, texts escaped twice."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from starlette.routing import Route

from simulator.feeds import NAMESPACES, feed_of, numeric, page, rfc822
from simulator.host import Host, World
from simulator.world.newsroom import Story


def host(world: World) -> Host:
    """decrypt.co."""
    return Host(
        routes=[Route("/feed", feed_of(world, "decrypt", _render))],
        figures=("pubDate",),
        examples=("/feed",),
        not_found=page("404 - Decrypt"),
        too_many=page("Too Many Requests"),
        server_error=page("Application error"),
        error_in_200=page("Decrypt - Bitcoin, Ethereum, Crypto News"),
    )


def _render(stories: Sequence[Story], newest: str) -> str:
    items = "\n    \n".join(_item(story) for story in stories)
    return f"""<?xml version='1.0' encoding='utf-8' ?>
<rss
  version="2.0"{NAMESPACES}
>
  <channel>
    <title>Decrypt</title>
    <description>What&amp;#039;s new in crypto and the advent of the decentralized web.</description>
    <language>en</language>

    <atom:link href="https://decrypt.co/feed" rel="self" type="application/rss+xml" />


      <link>https://decrypt.co/feed</link>

      <lastBuildDate>{newest}</lastBuildDate>


{items}

  </channel>
</rss>
"""


def _item(story: Story) -> str:
    # Escaped twice: the title is HTML, and is escaped again for XML.
    title = escape(story.marked) if story.marked else numeric(story.title)
    tracked = "?utm_source=decrypt&utm_medium=syndication" if "theblock.co" in story.link else ""
    summary = "" if story.number % 58 == 0 else f"\n    <description>{numeric(story.summary)}</description>"
    categories = "\n".join(f"      <category>{escape(category)}</category>\n" for category in ("", story.categories[0]))
    return f"""      <item>
  <title>{title}</title>
  <link>{escape(story.link + tracked)}</link>
  <pubDate>{rfc822(story.published)}</pubDate>
  {summary}

  <dc:creator>{escape(story.author)}</dc:creator>


    <guid isPermaLink="false">https://decrypt.co/?p={story.number}</guid>



{categories}



</item>"""
