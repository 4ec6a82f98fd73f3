"""Cointelegraph's feed: https://cointelegraph.com/rss

Refuses requests without a User-Agent (ours always have one). Links have utm_* parameters; descriptions begin with an
image. Few articles have a category.
"""

from __future__ import annotations

from typing import ClassVar

from workers.answers import Headline
from workers.asking.provider import Parsers
from workers.providers.rss import Feed, parse_rss

NAME = "cointelegraph"
OUTLET = "Cointelegraph"


def parse_feed(body: bytes) -> tuple[Headline, ...]:
    """The articles of the feed. Raises ProviderError."""
    return parse_rss(NAME, OUTLET, body)


class Cointelegraph(Feed):
    """One outlet: the newest 30 articles."""

    name = NAME
    outlet = OUTLET
    base_url = "https://cointelegraph.com"
    path = "/rss"
    parsers: ClassVar[Parsers] = {"feed": parse_feed}
