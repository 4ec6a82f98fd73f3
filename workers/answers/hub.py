"""What a hub of models and datasets says."""

from __future__ import annotations

from msgspec import Struct


class Repo(Struct, frozen=True):
    """One model or dataset."""

    name: str
    """Its id on the hub, like `ProsusAI/finbert`."""
    downloads: int
    """Of the last 30 days."""


class RepoPage(Struct, frozen=True, kw_only=True):
    """One page of a list."""

    repos: tuple[Repo, ...]
    """Those that everybody may see."""
    next: str | None = None
    """Path and query of the page after it, where there is one."""
