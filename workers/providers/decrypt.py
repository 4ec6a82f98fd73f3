"""Decrypt's feed: https://decrypt.co/feed

Its ids look like links but are not. Some texts are escaped twice; many categories are empty.
"""

from __future__ import annotations

from typing import ClassVar

from workers.answers import Headline
from workers.asking.provider import Parsers
from workers.providers.rss import Feed, parse_rss

NAME = "decrypt"
OUTLET = "Decrypt"


def parse_feed(body: bytes) -> tuple[Headline, ...]:
    """The articles of the feed. Raises ProviderError."""
    return parse_rss(NAME, OUTLET, body)


class Decrypt(Feed):
    """One outlet: the newest 58 articles."""

    name = NAME
    outlet = OUTLET
    base_url = "https://decrypt.co"
    path = "/feed"
    parsers: ClassVar[Parsers] = {"feed": parse_feed}
