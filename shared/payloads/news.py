from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from shared.payloads.fields import Payload, UtcTime
from shared.payloads.filtering import Choice, Rule


class Article(Struct, frozen=True, kw_only=True):
    """One headline."""

    title: Annotated[str, Meta(description="plain text, HTML removed")]
    source: Annotated[str, Meta(description="the outlet", examples=["CoinDesk"])]
    url: Annotated[str, Meta(description="http or https")]
    published_at: UtcTime
    categories: Annotated[list[str], Meta(description="categories that the feed gives this article")] = []
    """Has a default because updates of older versions lack it."""


class News(Payload, frozen=True, kw_only=True):
    """Current headlines, newest first, each once."""

    filters: ClassVar[tuple[Rule, ...]] = (
        Choice(
            name="sources",
            words="names of outlets",
            maps=("as_of",),
            rows={"articles": "source"},
            lists=("sources",),
        ),
        Choice(
            name="categories", words="categories of articles", rows={"articles": "categories"}, lists=("categories",)
        ),
    )

    articles: list[Article]
    sources: Annotated[list[str], Meta(description="outlets that answered")]
    categories: Annotated[list[str], Meta(description="the most frequent categories of these articles")]
