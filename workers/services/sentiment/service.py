"""sentiment: the market's mood from an index, votes, headlines and a forum. `mood` weighs them.

Figures change at different speeds, and CoinGecko's keyless budget (25 calls in 5 min for this whole address) is shared
with market_data, which needs one a minute, with probes and with prices. Planned calls, with everything well:

    alternative.me   1 in 15 min, and as many to CoinMarketCap instead while it is down
    CoinGecko        1 (trending) in 5 min and 2 (votes of two coins) in 10 min: 0.4 a minute, 3 in the worst minute;
                     with a demo key in 20 and 30 min
    Reddit           with a key, 1 to 10 (100 posts each) in 10 min
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from shared.errors import NoSourceError, ProviderError
from shared.payloads import News, Sentiment
from shared.timestamps import iso
from workers.answers import FearAndGreed, Post
from workers.asking.moments import Moments, believed, is_ahead
from workers.asking.parts import Part, refresh_parts
from workers.asking.pool import SourcePool
from workers.asking.ports import FearAndGreedSource
from workers.asking.provider import Ask
from workers.providers.coingecko import CoinGecko
from workers.providers.reddit import Reddit
from workers.services.sentiment.figures import HEADLINES, INDEX, POSTS, TRENDING, VOTES
from workers.services.sentiment.mood import DAY, Score, mean_tone, standing, weigh
from workers.services.sentiment.tone import tone
from workers.services.service import Service, ServiceContext

INDEXES = ("alternative_me", "coinmarketcap")
"""Fear and greed indexes in the order they are tried."""
_VOTED = ("bitcoin", "ethereum")
"""Coins whose votes are used: three fifths of the market's value. Each further coin costs a call."""
_INDEX_REFRESH = 900.0  # s: it changes once a day; a quarter of an hour late is early enough
_TRENDING_REFRESH = 300.0  # s: the list covers the last 24 h; it changes within an hour
_VOTES_REFRESH = 600.0  # s: a day's votes move slowly
_TRENDING_PACE, _VOTES_PACE = 2.0, 3.0
"""Refreshes of market_data's list after which CoinGecko is asked for these at the earliest: with a demo key it has 320
calls per day, of which the list takes 144 then, trending 72 and votes 96.
"""
_POSTS_REFRESH = 600.0  # s: a hundredth of the counted day
_WELL = 120.0
"""Seconds after an answer during which that source counts as healthy. With fewer, the failure of one part would cause
calls for all others in every cycle, six per minute to CoinGecko. With more than five minutes, trending's refresh, an
outage of all would go unnoticed.
"""


class SentimentService(Service):
    """Three parts with their sources, a fourth with a key, and the headlines of the news service."""

    def __init__(self, context: ServiceContext) -> None:
        """Nothing is asked yet."""
        self._context = context
        self._index: Part[FearAndGreedSource, FearAndGreed] = Part(
            context.pool("sentiment fear and greed", INDEXES),
            self._ask_index,
            refresh=_INDEX_REFRESH,
            keep=INDEX.longest,
            dated=lambda index: index.as_of,
        )
        searched: SourcePool[CoinGecko] = context.pool("sentiment trending", ("coingecko",))
        pace = max((source.provider.refresh for source in searched.sources), default=0.0)
        self._trending: Part[CoinGecko, tuple[str, ...]] = Part(
            searched,
            _ask_trending,
            refresh=max(_TRENDING_REFRESH, _TRENDING_PACE * pace),
            keep=TRENDING.longest,
        )
        self._votes: Part[CoinGecko, float] = Part(
            context.pool("sentiment votes", ("coingecko",)),
            _ask_votes,
            refresh=max(_VOTES_REFRESH, _VOTES_PACE * pace),
            keep=VOTES.longest,
        )
        posts: SourcePool[Reddit] = context.pool("sentiment posts", ("reddit",))
        self._posts: Part[Reddit, tuple[Post, ...]] | None = None
        if posts.sources:
            self._posts = Part(posts, self._ask_posts, refresh=_POSTS_REFRESH, keep=POSTS.longest)

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pools, for reports on them."""
        return tuple(part.pool for part in self._parts)

    @property
    def _parts(self) -> tuple[Part[Any, Any], ...]:
        parts = self._index, self._trending, self._votes
        return parts if self._posts is None else (*parts, self._posts)

    async def collect(self, now: float, deadline: float) -> Sentiment:
        """See Service. Raises NoSourceError if neither a source nor headlines give a score."""
        headlines = self._headlines(now)
        well = any(part.age <= _WELL for part in self._parts)
        await refresh_parts("sentiment", self._parts, now, deadline, stands=well or headlines is not None)
        scores = dict(self._scores(now))
        if headlines is not None:
            scores["headlines"] = "news", headlines
        by_source = {name: score for name, (_, score) in scores.items()}
        if (mood := weigh(by_source, now)) is None:
            raise NoSourceError("sentiment", self._errors())
        trending = self._trending.answer
        values = standing(by_source, now)
        moments = Moments(self._context.label)
        for source, score in (scores[name] for name in values):
            moments.note(source, score.as_of)
        if trending is not None:
            moments.note(trending.source, self._trending.moment(now))
        return Sentiment(
            overall_sentiment=mood[0],
            sentiment_score=mood[1],
            social_volume=self._social_volume(now),
            trending_topics=list(trending.value) if trending else [],
            sentiment_by_source=values,
            sources=moments.sources,
            as_of=moments.as_of,
            timestamp=iso(now),
        )

    def _scores(self, now: float) -> Iterator[tuple[str, tuple[str, Score]]]:
        """Per part with a score: its name in the payload, the provider, the score."""
        if (index := self._index.answer) is not None:
            score = Score(round(index.value.value / 100, 4), self._index.moment(now))
            yield "fear_and_greed", (index.source, score)
        if (votes := self._votes.answer) is not None:
            yield "coingecko_votes", (votes.source, Score(votes.value, now - self._votes.age))
        if self._posts is not None and (posts := self._posts.answer) is not None:
            value = mean_tone(((tone(post.title), post.created) for post in posts.value), now)
            if value is not None:
                yield "reddit", (posts.source, Score(value, now - self._posts.age))

    def _headlines(self, now: float) -> Score | None:
        """The tone of the titles that the news service published last."""
        news = self._context.latest("news", HEADLINES)
        if not isinstance(news, News):
            return None
        value = mean_tone(((tone(article.title), _seconds(article.published_at)) for article in news.articles), now)
        return None if value is None else Score(value, believed(_seconds(news.timestamp), now))

    def _social_volume(self, now: float) -> int | None:
        """Posts of the last 24 h; headlines don't count as posts."""
        posts = self._posts.answer if self._posts is not None else None
        if posts is None:
            return None
        return sum(now - post.created <= DAY and not is_ahead(post.created, now) for post in posts.value)

    def _errors(self) -> list[ProviderError]:
        sources = (source for part in self._parts for source in part.pool.sources)
        return [source.error for source in sources if source.error is not None]

    async def _ask_index(self, provider: FearAndGreedSource, ask: Ask, now: float) -> FearAndGreed:
        index = await provider.fear_and_greed(ask)
        age = 0.0 if index.as_of is None else now - index.as_of
        if age > INDEX.longest:
            raise ProviderError(provider.name, f"its index is {age / 3600:.0f} hours old", kind="stale")
        return index

    async def _ask_posts(self, provider: Reddit, ask: Ask, now: float) -> tuple[Post, ...]:
        return await provider.posts(ask, now - DAY)


async def _ask_trending(provider: CoinGecko, ask: Ask, now: float) -> tuple[str, ...]:
    return await provider.trending(ask)


async def _ask_votes(provider: CoinGecko, ask: Ask, now: float) -> float:
    """Mean of the coins that have votes."""
    shares = [share for coin_id in _VOTED if (share := await provider.votes(ask, coin_id)) is not None]
    if not shares:
        raise ProviderError(provider.name, "no votes")
    return round(sum(shares) / len(shares), 4)


def _seconds(moment: str) -> float:
    """A payload's time as unix seconds."""
    return datetime.fromisoformat(moment).timestamp()
