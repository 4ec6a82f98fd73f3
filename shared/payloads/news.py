from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.payloads.fields import Payload, UtcTime


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

    articles: list[Article]
    sources: Annotated[list[str], Meta(description="outlets that answered")]
    categories: Annotated[list[str], Meta(description="the most frequent categories of these articles")]
