from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from shared.payloads.fields import Payload


class Sentiment(Payload, frozen=True, kw_only=True):
    """The mood of the market."""

    overall_sentiment: Literal["bullish", "neutral", "bearish"]
    sentiment_score: Annotated[float, Meta(description="0 is fully bearish, 1 fully bullish", ge=0, le=1)]
    social_volume: Annotated[int | None, Meta(description="posts really counted, or null")]
    trending_topics: Annotated[list[str], Meta(description="most searched first")]
    sentiment_by_source: Annotated[dict[str, float], Meta(description="score of each source, 0 to 1")]
