"""Headlines of several feeds as one list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workers.answers import Headline
from workers.answers.texts import link_key, title_key
from workers.services.news.headlines import (
    ARTICLE_CATEGORIES,
    MAX_AGE,
    MAX_AHEAD,
    MAX_ARTICLES,
    MAX_CATEGORIES,
    SAME_TITLE,
    categories_of,
    merge,
)

NOW = 1_795_400_000.0
FIRST = Headline(
    title="Bitcoin slips 2.1%",
    url="https://www.coindesk.com/a",
    outlet="CoinDesk",
    published=NOW - 7200,
    guid="",
    categories=("Markets",),
)


def later(**changes: Any) -> Headline:
    """Another article, an hour later."""
    other = {"title": "Another", "url": "https://decrypt.co/b", "outlet": "Decrypt", "published": NOW - 3600}
    return replace(FIRST, **{**other, **changes})


headlines = st.lists(
    st.builds(
        Headline,
        title=st.sampled_from(("A", "a!", "B", "C", "D", "🚀")),
        url=st.sampled_from([f"https://{host}/{path}" for host in ("a.com", "www.a.com", "b.com") for path in "xyz"]),
        outlet=st.sampled_from(("One", "Two")),
        published=st.integers(-100, 2).map(lambda hours: NOW + hours * 3600.0),
        guid=st.sampled_from(("", "1", "2", "3", "4")),
        categories=st.sampled_from([(), ("Markets",), ("markets", "DeFi"), ("Policy", "defi")]),
        relayed=st.booleans(),
    ),
    max_size=30,
)


def test_two_outlets_with_one_link_at_one_time_have_an_order() -> None:
    """Which of two otherwise equal articles counts does not depend on which feed was read first."""
    one = later(outlet="One", guid="")
    two = later(outlet="Two", guid="1")
    before = replace(FIRST, outlet="Two", guid="1")
    assert merge([one, two, before], NOW) == merge([two, one, before], NOW)


def test_newest_first() -> None:
    """Whatever their order in the feeds, the newest article is first."""
    newer = later()
    assert merge([FIRST, newer], NOW) == merge([newer, FIRST], NOW) == (newer, FIRST)


def test_one_link_is_one_story() -> None:
    """The same link, with or without www, is one story: that of the outlet that had it first."""
    assert merge([later(url="https://coindesk.com/a"), FIRST], NOW) == (FIRST,)


def test_one_title_is_one_story_within_two_days() -> None:
    """The same title, whatever its case and punctuation, is one story; after two days it is another one."""
    assert merge([later(title="BITCOIN slips 2.1 %!"), FIRST], NOW) == (FIRST,)
    old = replace(FIRST, published=NOW - 60 - SAME_TITLE)
    assert merge([old, later(title=FIRST.title, published=NOW - 60)], NOW) == (old,)
    assert len(merge([old, later(title=FIRST.title, published=NOW - 59)], NOW)) == 2


@pytest.mark.parametrize(
    "ids",
    [
        ("https://decrypt.co/",) * 5,
        ("7",) * 5,
        ("", "", "", "", ""),
        ("7", "7", "8", "9", "10"),
        ("7", " 7", "7 ", "", "https://decrypt.co/"),
    ],
)
@pytest.mark.parametrize("link", ["https://decrypt.co/{}", "https://decrypt.co", "https://decrypt.co/news?page=1"])
@pytest.mark.parametrize("relayed", [False, True])
def test_an_id_or_link_of_several_titles_is_none(ids: tuple[str, ...], link: str, relayed: bool) -> None:
    """What one answer gives to articles of different titles tells nothing of them: each is published."""
    articles = [
        later(title=f"Story {n}", url=link.format(n), guid=guid, published=NOW - n, relayed=relayed)
        for n, guid in enumerate(ids)
    ]
    assert merge(articles, NOW) == tuple(articles)
    assert merge([*articles, *articles], NOW) == tuple(articles)


def test_an_item_that_is_listed_twice_is_one_story() -> None:
    """Twice with one link and title an article is published once, whatever its ids and times."""
    first = replace(FIRST, guid="7")
    for again in (replace(first, published=NOW), replace(first, guid="8"), first):
        assert merge([first, again], NOW) == (first,)


def test_a_daily_column_is_a_story_every_day() -> None:
    """Two articles of one outlet with one title and two links are two stories; another outlet's copy is none."""
    column = [replace(FIRST, url=f"https://a.com/{n}", published=NOW - n * 3600.0) for n in range(5)]
    assert merge(column, NOW) == tuple(column)
    assert merge([*column, later(title=FIRST.title)], NOW) == tuple(column)
    relayed = [replace(one, relayed=True) for one in column]
    assert merge([*relayed, *column], NOW) == tuple(column)
    assert merge([*relayed, replace(relayed[0], outlet="Decrypt", url="https://b.com/1")], NOW) == tuple(relayed)


def test_an_outlet_tells_its_own_story() -> None:
    """An outlet's item replaces an aggregator's older copy; a copy without an original stays."""
    copy = replace(FIRST, url="https://cryptopanic.com/news/1", published=FIRST.published - 60, relayed=True)
    assert merge([copy, FIRST], NOW) == (FIRST,)
    assert merge([copy], NOW) == (copy,)


def test_what_was_left_out_still_identifies_a_story() -> None:
    """A syndicated piece under another title is left out for its link, and so is an aggregator's copy of it."""
    syndicated = later(title="Bitcoin slips 2.1% (The Block)", url=FIRST.url)
    copy = later(title=syndicated.title, url="https://cryptopanic.com/news/2", relayed=True)
    assert merge([copy, syndicated, FIRST], NOW) == (FIRST,)


def test_a_story_has_the_categories_of_all_its_articles() -> None:
    """Its own come first, then what copies by title, by link, or through another copy add, each once, up to a limit."""
    by_title = later(title=FIRST.title, categories=("MARKETS", "Bitcoin"))
    by_link = later(title="Other (CoinDesk)", url=FIRST.url, outlet="The Block", categories=("ETF",))
    through = later(title=by_link.title, url="https://c.com/2", relayed=True, categories=("bitcoin", "Policy"))
    other = later(title="Another story", url="https://c.com/3", categories=("Games",))
    merged = merge([through, other, by_link, by_title, FIRST], NOW)
    assert [(one.title, one.categories) for one in merged] == [
        (other.title, ("Games",)),
        (FIRST.title, ("Markets", "Bitcoin", "ETF", "Policy")),
    ]
    many = replace(by_title, categories=tuple(f"c{n}" for n in range(ARTICLE_CATEGORIES)))
    assert merge([FIRST, many], NOW)[0].categories == ("Markets", *many.categories[:-1])


def test_titles_without_letters_are_not_compared() -> None:
    """Two titles of nothing but symbols need not be one story."""
    assert len(merge([replace(FIRST, title="🚀"), later(title="!!!")], NOW)) == 2


def test_what_is_old_is_left_out() -> None:
    """After three days an article is no news."""
    assert merge([replace(FIRST, published=NOW - MAX_AGE)], NOW) != ()
    assert merge([replace(FIRST, published=NOW - MAX_AGE - 1)], NOW) == ()


def test_what_is_yet_to_come_is_left_out_until_then() -> None:
    """A clock that is a little ahead is forgiven; an article dated later appears when its time has come."""
    ahead = replace(FIRST, published=NOW + MAX_AHEAD + 1)
    assert merge([ahead], NOW) == ()
    assert merge([ahead], NOW + 1) == (ahead,)


def test_the_list_is_bounded() -> None:
    """The newest articles stay, and no more of them than documented."""
    many = [later(title=f"T{n}", url=f"https://a.com/{n}", published=NOW - n) for n in range(MAX_ARTICLES + 9)]
    assert merge(reversed(many), NOW) == tuple(many[:MAX_ARTICLES])


@given(headlines, st.randoms())
def test_merging_is_pure_sorted_unique_and_idempotent(given_ones: list[Headline], chance: Any) -> None:
    """In whatever order they come, the result is the same; each story once; merged again, nothing changes.

    Two outlets never share a link, and one outlet has each link once per title.
    """
    merged = merge(given_ones, NOW)
    shuffled = list(given_ones)
    chance.shuffle(shuffled)
    assert [h.published for h in merged] == sorted((h.published for h in merged), reverse=True)
    sources = {link_key(h.url): (h.relayed, h.outlet) for h in merged}
    assert all(sources[link_key(h.url)] == (h.relayed, h.outlet) for h in merged)
    assert len({(link_key(h.url), title_key(h.title)) for h in merged}) == len(merged)
    assert merge(shuffled, NOW) == merged
    assert merge(merged, NOW) == merged
    assert {replace(h, categories=()) for h in merged} <= {replace(h, categories=()) for h in given_ones}
    for one in merged:
        folded = [category.casefold() for category in one.categories]
        assert len(set(folded)) == len(folded)
        own = next(h for h in given_ones if replace(h, categories=()) == replace(one, categories=()))
        assert {category.casefold() for category in own.categories} <= set(folded)
    for one in merged:
        same = [h for h in merged if title_key(h.title) and title_key(h.title) == title_key(one.title)]
        others = [h for h in same if (h.relayed, h.outlet) != (one.relayed, one.outlet)]
        assert all(abs(h.published - one.published) > SAME_TITLE for h in others)


def test_categories_are_ranked_and_bounded() -> None:
    """The most frequent first, in their most frequent spelling, each once, twenty at most."""
    rows = [
        replace(FIRST, categories=("markets", "DeFi")),
        replace(FIRST, categories=("Markets", "Bitcoin")),
        replace(FIRST, categories=("Markets", "bitcoin")),
    ]
    assert categories_of(rows) == ["Markets", "Bitcoin", "DeFi"]
    assert categories_of([]) == []
    assert len(categories_of([replace(FIRST, categories=tuple(map(str, range(50))))])) == MAX_CATEGORIES
