"""Cointelegraph's feed: https://cointelegraph.com/rss

Refuses requests without a User-Agent (ours always has one). Links carry utm_* parameters; descriptions begin with an
image. Few articles have a category.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.budget import Budget
from workers.answers import Headline
from workers.provider import Ask, Parsers
from workers.providers.rss import ACCEPT, feed_request, parse_rss

NAME = "cointelegraph"
OUTLET = "Cointelegraph"


def parse_feed(body: bytes) -> tuple[Headline, ...]:
    """The articles of the feed. Raises ProviderError."""
    return parse_rss(NAME, OUTLET, body)


class Cointelegraph:
    """One outlet: the newest 30 articles."""

    name = NAME
    outlet = OUTLET
    base_url = "https://cointelegraph.com"
    budget = Budget(10, 60.0)  # no limit is known; once a minute is what we need, the rest is for restarts
    refresh = 0.0
    parsers: ClassVar[Parsers] = {"feed": parse_feed}

    def headers(self) -> Mapping[str, str]:
        """What it may answer with."""
        return {"Accept": ACCEPT}

    async def headlines(self, ask: Ask) -> tuple[Headline, ...]:
        """See NewsSource."""
        return await ask(feed_request("/rss", parse_feed))
