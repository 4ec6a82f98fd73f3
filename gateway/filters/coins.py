"""Coins: what a filter needs to know of them."""

from __future__ import annotations

from typing import Protocol


class Coins(Protocol):
    """The coins that are listed."""

    def resolve(self, name: str) -> str | None:
        """The id of a coin: `name` itself, or else the coin whose symbol it is, in any case. None if there is none.

        Raises AmbiguousCoinError if several coins have that symbol.
        """
        ...
