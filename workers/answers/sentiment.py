from __future__ import annotations

from msgspec import Struct


class FearAndGreed(Struct, frozen=True, kw_only=True):
    """A fear and greed index. Each provider reckons its own: the figures of two are not to be compared."""

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
    """What to ask for the next page with; None where there is none."""
