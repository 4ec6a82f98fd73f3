"""news: asks all outlets' feeds at once, and publishes the newest headlines of all, each story once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.errors import NoSourceError
from shared.payloads import News
from shared.payloads.news import Article
from shared.timestamps import iso
from workers.answers import Headline
from workers.asking.moments import Moments
from workers.asking.pool import SourcePool
from workers.asking.ports import NewsSource
from workers.asking.provider import Ask
from workers.services.news.figures import FEEDS
from workers.services.news.headlines import categories_of, merge
from workers.services.service import Service, ServiceContext

OUTLETS = ("coindesk", "cointelegraph", "decrypt", "theblock", "cryptopanic")
"""Feeds; all of them are asked and merged."""
_PATIENCE = 10.0  # s to wait for one feed, of the 48 s of a cycle


@dataclass(frozen=True, slots=True)
class _FeedAnswer:
    headlines: tuple[Headline, ...]
    received: float
    """By the pool's clock."""


class NewsService(Service):
    """Keeps the last answer of each feed, and merges those that are not too old."""

    def __init__(self, context: ServiceContext) -> None:
        self._label = context.label
        self.feeds: SourcePool[NewsSource] = context.pool("news", OUTLETS)
        self._answers: dict[str, _FeedAnswer] = {}

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pools, for reports on them."""
        return (self.feeds,)

    async def collect(self, now: float, deadline: float) -> News:
        """See Service. Raises NoSourceError if no feed that was asked answers.

        A feed without changes counts as answered. A feed that failed is not in `sources`; its articles stay as long as
        `FEEDS` allows.
        """
        answered = await self._ask(min(deadline, _PATIENCE))
        headlines = merge(
            (
                headline
                for source in self.feeds.sources
                if (answer := self._answers.get(source.provider.name)) is not None
                and self.feeds.clock() - answer.received <= source.provider.refresh + FEEDS.longest
                for headline in answer.headlines
            ),
            now,
        )
        moments = Moments(self._label)
        for source in self.feeds.sources:
            if source.provider.name in answered:
                age = self.feeds.clock() - self._answers[source.provider.name].received
                moments.note(source.provider.outlet, now - age)
        return News(
            articles=[
                Article(
                    title=headline.title,
                    source=headline.outlet,
                    url=headline.url,
                    published_at=iso(headline.published),
                    categories=list(headline.categories),
                )
                for headline in headlines
            ],
            sources=moments.sources,
            as_of=moments.as_of,
            categories=categories_of(headlines),
            timestamp=iso(now),
        )

    async def _ask(self, deadline: float) -> set[str]:
        """Ask every due feed. Returns the names of those that answered now or are not due yet.

        Raises NoSourceError if none answered now: old headlines are not published again.
        """
        fresh: set[str] = set()
        now = self.feeds.clock()

        async def question(provider: NewsSource, ask: Ask) -> _FeedAnswer:
            answer = self._answers.get(provider.name)
            if answer is not None and now - answer.received < provider.refresh:
                return answer
            headlines = await provider.headlines(ask)
            fresh.add(provider.name)
            return _FeedAnswer(headlines, now)

        answers = dict(await self.feeds.ask_all(question, deadline))
        if not fresh:
            raise NoSourceError("news", [source.error for source in self.feeds.sources if source.error is not None])
        self._answers |= answers
        return set(answers)
