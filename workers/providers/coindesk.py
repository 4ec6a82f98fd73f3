"""CoinDesk's feed: https://www.coindesk.com/arc/outboundfeeds/rss/

Titles in CDATA, ids that are no links. Links carry a slash at the end, and in some years utm_* parameters. Under the
domain `article-type` it says what kind of text an article is, not what it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.budget import Budget
from workers.answers import Headline
from workers.provider import Ask, Parsers
from workers.providers.rss import ACCEPT, feed_request, parse_rss

NAME = "coindesk"
OUTLET = "CoinDesk"


def parse_feed(body: bytes) -> tuple[Headline, ...]:
    """The articles of the feed. Raises ProviderError."""
    return parse_rss(NAME, OUTLET, body, not_categories=("article-type",))


class CoinDesk:
    """One outlet: the newest 25 to 50 articles; made anew every five minutes."""

    name = NAME
    outlet = OUTLET
    base_url = "https://www.coindesk.com"
    budget = Budget(10, 60.0)  # no limit is known; once a minute is what we need, the rest is for restarts
    refresh = 0.0
    parsers: ClassVar[Parsers] = {"feed": parse_feed}

    def headers(self) -> Mapping[str, str]:
        """What it may answer with."""
        return {"Accept": ACCEPT}

    async def headlines(self, ask: Ask) -> tuple[Headline, ...]:
        """See NewsSource."""
        return await ask(feed_request("/arc/outboundfeeds/rss/", parse_feed))
