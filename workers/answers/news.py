"""Answers of news feeds."""

from __future__ import annotations

from msgspec import Struct


class Headline(Struct, frozen=True, kw_only=True):
    """One article of an outlet, its text and link cleaned by workers/answers/texts.py."""

    title: str
    """Plain text, not empty."""
    url: str
    """Canonical: http or https, without fragment and tracking parameters."""
    outlet: str
    """Name of the publisher, in its own spelling."""
    published: float
    """Unix seconds, as the outlet dates it."""
    guid: str
    """The feed's id of the article, empty if it gives none. Some outlets give several articles the same one."""
    categories: tuple[str, ...]
    """As the outlet spells them."""
    relayed: bool = False
    """Whether it comes from an aggregator: the outlet's own item is preferred."""
