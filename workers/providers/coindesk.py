"""CoinDesk's feed: https://www.coindesk.com/arc/outboundfeeds/rss/

Titles in CDATA, ids that are no links. Links carry a slash at the end, and in some years utm_* parameters. Under the
domain `article-type` it says what kind of text an article is, not what it is about.
"""

from __future__ import annotations

from typing import ClassVar

from workers.answers import Headline
from workers.asking.provider import Parsers
from workers.providers.rss import Feed, parse_rss

NAME = "coindesk"
OUTLET = "CoinDesk"


def parse_feed(body: bytes) -> tuple[Headline, ...]:
    """The articles of the feed. Raises ProviderError."""
    return parse_rss(NAME, OUTLET, body, not_categories=("article-type",))


class CoinDesk(Feed):
    """One outlet: the newest 25 to 50 articles, regenerated at most every five minutes."""

    name = NAME
    outlet = OUTLET
    base_url = "https://www.coindesk.com"
    path = "/arc/outboundfeeds/rss/"
    parsers: ClassVar[Parsers] = {"feed": parse_feed}
