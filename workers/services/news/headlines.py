"""Headlines of several feeds as one list: duplicates, age and categories. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from workers.answers import Headline
from workers.answers.texts import link_key, title_key

MAX_ARTICLES = 50
"""The newest so many are published: half a day of four outlets, a message of some 12 kB; the rest is left out."""
MAX_AGE = 3 * 86_400.0
"""Seconds after which an article is dropped: long enough for a weekend, when outlets publish less."""
MAX_AHEAD = 600.0
"""Seconds that an outlet's clock may be ahead of ours. What is dated later is left out until then: some outlets put
articles into the feed before their time, and any other date would be ours and not theirs."""
SAME_TITLE = 48 * 3600.0
"""Seconds within which equal titles mean one story: agencies' texts are taken over within a day or two, while a weekly
column has its title again after seven."""
MAX_CATEGORIES = 20
"""The most frequent so many are published; what only one article has in a long tail of tags says little."""


def merge(headlines: Iterable[Headline], now: float) -> tuple[Headline, ...]:
    """Of all `headlines` those to publish at `now` (unix seconds): newest first, each story once.

    One story is what has the same link, the same id in one outlet's feed, or the same title within SAME_TITLE. Of
    several, the outlet's own item stays rather than an aggregator's, and then the one published first: that outlet had
    it, the others took it over.
    """
    links: set[str] = set()
    guids: set[tuple[str, str]] = set()
    titles: dict[str, list[float]] = {}
    kept: list[Headline] = []
    for headline in sorted(headlines, key=_precedence):
        link, guid, title = link_key(headline.url), (headline.outlet, headline.guid), title_key(headline.title)
        times = titles.setdefault(title, [])
        same_link = link in links or (bool(headline.guid) and guid in guids)
        same_title = bool(title) and any(abs(headline.published - time) <= SAME_TITLE for time in times)
        # What is left out still says what else is the same story: an aggregator has its title and another link.
        links.add(link)
        guids.add(guid)
        if not same_title:
            times.append(headline.published)
        if not same_link and not same_title:
            kept.append(headline)
    current = [headline for headline in kept if now - MAX_AGE <= headline.published <= now + MAX_AHEAD]
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


def _precedence(headline: Headline) -> tuple[bool, float, str, str, str, str]:
    """All that decides what is one story, so that the order in which feeds were read does not."""
    return headline.relayed, headline.published, headline.url, headline.title, headline.outlet, headline.guid


def _spelling(spellings: Counter[str]) -> str:
    return min(spellings, key=lambda spelling: (-spellings[spelling], spelling))
