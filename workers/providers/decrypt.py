"""Decrypt's feed: https://decrypt.co/feed

Its ids look like links and are none. Texts are escaped twice here and there; many categories are empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from shared.budget import Budget
from workers.answers import Headline
from workers.provider import Ask, Parsers
from workers.providers.rss import ACCEPT, feed_request, parse_rss

NAME = "decrypt"
OUTLET = "Decrypt"


def parse_feed(body: bytes) -> tuple[Headline, ...]:
    """The articles of the feed. Raises ProviderError."""
    return parse_rss(NAME, OUTLET, body)


class Decrypt:
    """One outlet: the newest 58 articles."""

    name = NAME
    outlet = OUTLET
    base_url = "https://decrypt.co"
    budget = Budget(10, 60.0)  # no limit is known; once a minute is what we need, the rest is for restarts
    refresh = 0.0
    parsers: ClassVar[Parsers] = {"feed": parse_feed}

    def headers(self) -> Mapping[str, str]:
        """What it may answer with."""
        return {"Accept": ACCEPT}

    async def headlines(self, ask: Ask) -> tuple[Headline, ...]:
        """See NewsSource."""
        return await ask(feed_request("/feed", parse_feed))
