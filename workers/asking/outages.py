"""Outages: which sources this process has logged as down."""

from __future__ import annotations


class Outages:
    """Sources that this process has logged as down. Each is logged once, even if several pools have it."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def begins(self, source: str) -> bool:
        """Note that `source` is down. Returns whether to log it: True if no pool has logged it yet."""
        is_news = source not in self._told
        self._told.add(source)
        return is_news

    def ends(self, source: str) -> bool:
        """Note that `source` is back. Returns whether to log it: True if it was logged as down and not yet as back."""
        is_news = source in self._told
        self._told.discard(source)
        return is_news
