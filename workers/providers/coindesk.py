"""CoinDesk's feed: https://www.coindesk.com/arc/outboundfeeds/rss/

Titles are in CDATA, ids are not links. Links end with a slash, and in some years have utm_* parameters. Categories with
the domain `article-type` have the kind of text, not its topic.
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
