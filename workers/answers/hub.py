"""Answers of a hub of models and datasets."""

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
    """Public ones only."""
    next: str | None = None
    """Path and query of the next page; None on the last one."""
