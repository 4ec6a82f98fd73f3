"""Headlines of several feeds as one list: duplicates, age and categories. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from workers.answers import Headline
from workers.answers.texts import link_key, title_key

MAX_ARTICLES = 50
"""The newest are published, up to this number: half a day of four outlets, a message of some 12 kB."""
MAX_AGE = 3 * 86_400.0
"""Seconds after which an article is dropped: long enough for a weekend, when outlets publish less."""
MAX_AHEAD = 600.0
"""Seconds that an outlet's clock may be ahead of ours. An article with a later date is left out until then: some
outlets list articles before their date, and we don't replace an outlet's date.
"""
SAME_TITLE = 48 * 3600.0
"""Seconds within which equal titles of two outlets mean one story: they reprint agency texts within a day or two, and
weekly columns repeat their titles after seven days.
"""
ARTICLE_CATEGORIES = 30
"""Per article, the story's own first. More than any feed gives; only a story of several feeds can have more."""
MAX_CATEGORIES = 20
"""The most frequent are published, up to this number: a long tail of tags is on one article each."""

_Source = tuple[bool, str]
"""Whether a headline was relayed by an aggregator, and its outlet."""


def merge(headlines: Iterable[Headline], now: float) -> tuple[Headline, ...]:
    """The headlines to publish at `now` (unix seconds): newest first, each story once.

    Headlines of different outlets are one story if they have the same link, or the same title within SAME_TITLE. Two of
    one outlet are one story only if they have both: a daily column has the same title, and some outlets link all
    articles to their home page. Ids are not compared: some outlets give all articles one id, and unique ones tell
    nothing that links don't. Of several headlines, an outlet's own item is preferred to an aggregator's, then the one
    published first, which is the original. It gets the categories of all of them, each once regardless of case.
    """
    links: dict[str, dict[tuple[_Source, str], int]] = {}
    titles: dict[str, list[tuple[_Source, float, int]]] = {}
    stories: list[Headline] = []
    categories: list[dict[str, str]] = []
    for headline in sorted(headlines, key=_precedence):
        title, source = title_key(headline.title), (headline.relayed, headline.outlet)
        seen = links.setdefault(link_key(headline.url), {})
        times = titles.setdefault(title, [])
        same_link = [story for (other, name), story in seen.items() if other != source or name == title]
        same_title = [
            story
            for other, time, story in times
            if title and other != source and abs(headline.published - time) <= SAME_TITLE
        ]
        story = next(iter(same_link + same_title), len(stories))
        # A duplicate still identifies further ones: an aggregator's item has the title of one and another link.
        seen.setdefault((source, title), story)
        if not same_title:
            times.append((source, headline.published, story))
        if story == len(stories):
            stories.append(headline)
            categories.append({})
        for category in headline.categories:
            categories[story].setdefault(category.casefold(), category)
    current = [
        replace(headline, categories=tuple(named.values())[:ARTICLE_CATEGORIES])
        for headline, named in zip(stories, categories, strict=True)
        if now - MAX_AGE <= headline.published <= now + MAX_AHEAD
    ]
    return tuple(sorted(current, key=lambda headline: (-headline.published, headline.url))[:MAX_ARTICLES])


def categories_of(headlines: Sequence[Headline]) -> list[str]:
    """The categories of `headlines`, the most frequent first, in their most frequent spelling."""
    counts: Counter[str] = Counter()
    spellings: dict[str, Counter[str]] = {}
    for headline in headlines:
        for category in headline.categories:
            counts[category.casefold()] += 1
            spellings.setdefault(category.casefold(), Counter())[category] += 1
    ranked = sorted(counts, key=lambda category: (-counts[category], category))
    return [_spelling(spellings[category]) for category in ranked[:MAX_CATEGORIES]]


def _precedence(headline: Headline) -> tuple[bool, float, str, str, str, str, tuple[str, ...]]:
    """A total order of headlines, so that the result does not depend on the order in which feeds were read."""
    one = headline
    return one.relayed, one.published, one.url, one.title, one.outlet, one.guid, one.categories


def _spelling(spellings: Counter[str]) -> str:
    return min(spellings, key=lambda spelling: (-spellings[spelling], spelling))
