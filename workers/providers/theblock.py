"""The Block's feed: https://www.theblock.co/rss.xml

Times are those of New York (`-0500`). Links carry utm_* parameters. Among the categories is its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.budget import Budget
from workers.answers import Headline
from workers.provider import Ask, Parsers
from workers.providers.rss import ACCEPT, feed_request, parse_rss

NAME = "theblock"
OUTLET = "The Block"


def parse_feed(body: bytes) -> tuple[Headline, ...]:
    """The articles of the feed. Raises ProviderError."""
    return parse_rss(NAME, OUTLET, body)


class TheBlock:
    """One outlet: the newest 19 articles; older ones are on further pages, which nobody needs here."""

    name = NAME
    outlet = OUTLET
    base_url = "https://www.theblock.co"
    budget = Budget(10, 60.0)  # no limit is known; once a minute is what we need, the rest is for restarts
    refresh = 0.0
    parsers: ClassVar[Parsers] = {"feed": parse_feed}

    def headers(self) -> Mapping[str, str]:
        """What it may answer with."""
        return {"Accept": ACCEPT}

    async def headlines(self, ask: Ask) -> tuple[Headline, ...]:
        """See NewsSource."""
        return await ask(feed_request("/rss.xml", parse_feed))
