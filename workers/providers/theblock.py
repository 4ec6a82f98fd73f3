"""The Block's feed: https://www.theblock.co/rss.xml

Times have New York's zone (`-0500`). Links have utm_* parameters. The categories include its own name.
"""

from __future__ import annotations

from typing import ClassVar

from workers.answers import Headline
from workers.asking.provider import Parsers
from workers.providers.rss import Feed, parse_rss

NAME = "theblock"
OUTLET = "The Block"


def parse_feed(body: bytes) -> tuple[Headline, ...]:
    """The articles of the feed. Raises ProviderError."""
    return parse_rss(NAME, OUTLET, body)


class TheBlock(Feed):
    """One outlet: the newest 19 articles; further pages are not read."""

    name = NAME
    outlet = OUTLET
    base_url = "https://www.theblock.co"
    path = "/rss.xml"
    parsers: ClassVar[Parsers] = {"feed": parse_feed}
