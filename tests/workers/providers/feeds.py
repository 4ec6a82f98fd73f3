"""Feeds for tests of what is read of one."""

from __future__ import annotations

from collections.abc import Callable

from workers.answers import Headline
from workers.providers import coindesk, cointelegraph, decrypt, theblock

PARSERS: dict[str, Callable[[bytes], tuple[Headline, ...]]] = {
    module.NAME: module.parse_feed for module in (coindesk, cointelegraph, decrypt, theblock)
}
"""parse_feed of every outlet."""
DATE = "Mon, 23 Nov 2026 10:00:00 +0000"
MOMENT = 1795428000.0
HEAD = '<?xml version="1.0" encoding="utf-8"?>'


def item(title: str = "Bitcoin slips", path: str = "x", extra: str = "") -> str:
    """One item; `extra` is put before its end."""
    return f"<item><title>{title}</title><link>https://a.com/{path}</link><pubDate>{DATE}</pubDate>{extra}</item>"


def feed_text(*items: str, head: str = HEAD) -> str:
    """A feed of `items`."""
    return f'{head}<rss version="2.0"><channel><title>Acme</title>{"".join(items)}</channel></rss>'


def feed(*items: str, head: str = HEAD) -> bytes:
    """A feed of `items` in UTF-8."""
    return feed_text(*items, head=head).encode()
