from __future__ import annotations

from msgspec import Struct


class FearAndGreed(Struct, frozen=True, kw_only=True):
    """A fear and greed index. Each provider has its own method, so the figures of two providers can't be compared."""

    value: float
    """From 0, extreme fear, to 100, extreme greed."""
    as_of: float | None = None
    """Unix seconds that the index is for."""


class Post(Struct, frozen=True, kw_only=True):
    """A post in a forum."""

    post_id: str
    title: str
    created: float
    """Unix seconds."""


class PostPage(Struct, frozen=True, kw_only=True):
    """One page of a list of posts."""

    posts: tuple[Post, ...]
    after: str | None = None
    """Cursor of the next page; None on the last one."""
