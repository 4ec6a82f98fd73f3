"""NewsService against the simulator, over real sockets and a real Redis: each feed adds its own, none is needed."""

from __future__ import annotations

import httpx
import msgspec
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from shared.bus.budgets import Budgets
from shared.channels import Channels
from shared.errors import NoSourceError
from shared.payloads import News
from shared.payloads.news import Article
from simulator.faults import FaultName
from simulator.world.newsroom import OUTLETS as NEWSROOMS
from simulator.world.newsroom import Newsroom
from tests.workers.stage import FAULTS, Stage, hosts_of
from workers.asking.client import open_client
from workers.asking.fetch import Fetcher
from workers.providers import load_provider, provider_class
from workers.services.news import figures
from workers.services.news.headlines import MAX_AGE, MAX_ARTICLES
from workers.services.news.service import OUTLETS

KEEP = figures.FEEDS.longest
FEEDS = [load_provider(name) for name in OUTLETS if not provider_class(name).needs_key]
HOSTS = {feed.outlet: hosts_of(feed)[0] for feed in FEEDS}  # type: ignore[attr-defined]
"""Where each feed is read, by its outlet."""
PANIC = "cryptopanic.com"


async def collect(stage: Stage, later: float = 0.0, deadline: float = 4.0, **settings: object) -> News:
    """One cycle of news."""
    if not hasattr(stage, "service"):
        stage.open("news", **settings)
    data: News = await stage.collect(later, deadline)
    return data


def sources(data: News) -> list[str]:
    assert all(source.endswith(" (simulated)") for source in data.sources)
    return [source.removesuffix(" (simulated)") for source in data.sources]


def outlets(data: News) -> set[str]:
    return {article.source for article in data.articles}


async def test_a_whole_update(stage: Stage) -> None:
    """With all feeds well there are the newest headlines of each, newest first, each once, with canonical links."""
    data = await collect(stage)
    assert sources(data) == list(HOSTS)
    assert outlets(data) == set(HOSTS)
    assert len(data.articles) == MAX_ARTICLES
    times = [article.published_at for article in data.articles]
    assert times == sorted(times, reverse=True)
    assert len({article.url for article in data.articles}) == MAX_ARTICLES
    assert len({article.title for article in data.articles}) == MAX_ARTICLES
    for article in data.articles:
        assert article.url.startswith("https://")
        assert "utm_" not in article.url
        assert not article.url.endswith("/")
        assert not set(article.title) & set("<>\n")
        assert "&amp;" not in article.title
        assert "&#" not in article.title


def test_articles_of_older_versions_have_no_categories() -> None:
    """Streams and databases still hold updates without them, which sentiment and huggingface read."""
    old = {"title": "A", "source": "B", "url": "https://a.example", "published_at": "2025-11-11T10:25:00.000Z"}
    assert msgspec.convert(old, Article).categories == []


async def test_categories_are_those_of_the_published_articles(stage: Stage) -> None:
    """Each article has those of its feed, and the update the most frequent of these, each once; neither an outlet's
    name nor a kind of text is one.
    """
    data = await collect(stage)
    assert "Markets" in data.categories
    assert len(data.categories) > 3
    assert len({category.casefold() for category in data.categories}) == len(data.categories) <= 20
    assert not {"The Block", "news", ""} & set(data.categories)
    own = {category.casefold() for article in data.articles for category in article.categories}
    assert {category.casefold() for category in data.categories} <= own
    assert any(len(article.categories) > 1 for article in data.articles)


async def test_a_story_of_two_outlets_is_told_once(stage: Stage) -> None:
    """A story that one outlet has from another, by title or by link, is published as the first one's."""
    data = await collect(stage)
    stage.spoil(HOSTS["CoinDesk"], HOSTS["The Block"])
    without = await load_alone(stage)
    taken = {article.title for article in without.articles} - {article.title for article in data.articles}
    assert any(title.endswith(" (The Block)") for title in taken)
    by_title = {article.title: article for article in data.articles if article.source == "CoinDesk"}
    copies = [article for article in without.articles if article.title in by_title]
    assert "Cointelegraph" in {article.source for article in copies}
    assert not {article.url for article in copies} & {article.url for article in data.articles}


async def load_alone(stage: Stage) -> News:
    """One cycle of a service with no memory."""
    stage.open("news")
    return await collect(stage)


async def test_a_feed_that_has_not_changed_is_not_sent_again_and_counts(stage: Stage, redis: Redis) -> None:
    """The second cycle is all 304; every outlet is a source all the same, and the articles are the same."""
    statuses: list[int] = []

    async def note(response: httpx.Response) -> None:
        statuses.append(response.status_code)

    newsroom, clock = Newsroom(stage.simulator.market), stage.simulator.clock
    while any(newsroom.feed(key, clock.now()) != newsroom.feed(key, clock.now() + 30) for key in NEWSROOMS):
        clock.advance(30)  # to a moment in which nobody publishes anything
    async with open_client(stage.settings) as client:
        client.event_hooks = {"response": [note]}
        stage.fetcher = Fetcher(client, Budgets(redis, Channels(stage.settings.redis_prefix)))
        first = await collect(stage)
        assert sorted(statuses) == [200, 200, 200, 200, 308]
        statuses.clear()
        second = await collect(stage)
        assert sorted(statuses) == [304, 304, 304, 304, 308]
    assert sources(second) == list(HOSTS)
    assert second.articles == first.articles


async def test_new_headlines_come_at_the_top(stage: Stage) -> None:
    """As the newsrooms write on, their feeds change, and the newest articles are published."""
    first = await collect(stage)
    second = await collect(stage, 3600)
    assert second.articles[0].published_at > first.articles[0].published_at
    assert first.articles[0] in second.articles


async def test_a_redirect_is_followed(stage: Stage) -> None:
    """CoinDesk's address with a slash leads to the one without."""
    await collect(stage)
    assert stage.simulator.tally.by_host()[HOSTS["CoinDesk"]] == {
        "/arc/outboundfeeds/rss/": 1,
        "/arc/outboundfeeds/rss": 1,
    }


@pytest.mark.parametrize("outlet", HOSTS)
@pytest.mark.parametrize("fault", [*FAULTS, "no_rows"])
async def test_every_fault_of_a_feed_leaves_the_others(stage: Stage, outlet: str, fault: FaultName) -> None:
    """Whatever is wrong with one feed, an HTML page with 200 included, the update comes from the others at once."""
    stage.spoil(HOSTS[outlet], fault=fault)
    data = await collect(stage)
    assert sources(data) == [name for name in HOSTS if name != outlet]
    assert outlets(data) == set(HOSTS) - {outlet}


async def test_feeds_that_are_labelled_as_pages_are_read(stage: Stage) -> None:
    """What a server says of its feed's type does not matter."""
    right = await collect(stage)
    stage.spoil(*HOSTS.values(), fault="mislabelled")
    assert await load_alone(stage) == right


async def test_an_odd_item_costs_itself(stage: Stage) -> None:
    """An item whose date can't be read is missing from the update, and nothing else is."""
    right = await collect(stage)
    stage.spoil(*HOSTS.values(), fault="odd_row")
    odd = await load_alone(stage)
    assert sources(odd) == list(HOSTS)
    missing = {article.title for article in right.articles} - {article.title for article in odd.articles}
    assert 1 <= len(missing) <= len(HOSTS)


async def test_every_fault_of_a_feed_that_was_well_is_noticed(stage: Stage) -> None:
    """An answer that could have been "not modified" is as bad as any other where it is spoilt."""
    stage.open("news")
    await collect(stage)
    faults: tuple[FaultName, ...] = ("truncated_json", "wrong_types")
    for fault in faults:
        stage.spoil(HOSTS["Decrypt"], fault=fault)
        assert "Decrypt" not in sources(await collect(stage, 60))
        stage.heal(HOSTS["Decrypt"])
        assert "Decrypt" in sources(await collect(stage, 60))


@pytest.mark.slow
async def test_a_feed_that_hangs_takes_its_own_time_only(stage: Stage) -> None:
    """A feed that never answers is given up at the deadline, and the others are published."""
    stage.spoil(HOSTS["Cointelegraph"], fault="hang")
    data = await collect(stage, deadline=3.0)
    assert sources(data) == ["CoinDesk", "Decrypt", "The Block"]


async def test_articles_of_a_failed_feed_stay_for_half_an_hour(stage: Stage) -> None:
    """A feed that fails is no source at once, while its articles stay for KEEP seconds and no longer."""
    await collect(stage)
    stage.spoil(HOSTS["CoinDesk"])
    data = await collect(stage, 60)
    assert sources(data) == ["Cointelegraph", "Decrypt", "The Block"]
    assert "CoinDesk" in outlets(data)
    assert "CoinDesk" in outlets(await collect(stage, KEEP - 60))
    assert "CoinDesk" not in outlets(await collect(stage, 1))


async def test_a_feed_that_is_back_is_a_source_again(stage: Stage) -> None:
    """After its pause a failed feed is asked again; without a stand-in there is no failover notice."""
    stage.spoil(HOSTS["The Block"])
    assert "The Block" not in sources(await collect(stage))
    stage.heal(HOSTS["The Block"])
    assert sources(await collect(stage, 60)) == list(HOSTS)
    assert stage.failovers == []


async def test_nothing_is_published_while_all_feeds_are_down(stage: Stage) -> None:
    """With no feed answering, what they said before is not published again; it recovers by itself."""
    await collect(stage)
    stage.spoil(*HOSTS.values())
    with pytest.raises(NoSourceError, match="coindesk"):
        await collect(stage, 60)
    with pytest.raises(NoSourceError):
        await collect(stage, 1)  # all cooling down: nobody is asked
    stage.heal(*HOSTS.values())
    assert sources(await collect(stage, 60)) == list(HOSTS)


async def test_old_headlines_are_no_news(stage: Stage) -> None:
    """Of a feed that stood still for days nothing is published, though it answers."""
    service = stage.open("news")
    data: News = await service.collect(stage.now + MAX_AGE, 4.0)
    assert sources(data) == list(HOSTS)
    assert len(data.articles) < MAX_ARTICLES
    assert (await service.collect(stage.now + MAX_AGE + 86_400, 4.0)).articles == []


async def test_cryptopanic_joins_with_a_key(stage: Stage) -> None:
    """With a token it is a source, asked three times a day; what outlets' own feeds have is published as theirs."""
    data = await collect(stage, cryptopanic_key=SecretStr("s3cret"))
    assert sources(data) == [*HOSTS, "CryptoPanic"]
    assert not any("cryptopanic.com" in article.url for article in data.articles)
    data = await collect(stage, 60)
    assert stage.asked["cryptopanic"] == 1
    assert sources(data) == [*HOSTS, "CryptoPanic"]


async def test_cryptopanic_tells_of_outlets_that_fail(stage: Stage) -> None:
    """CryptoPanic's own finds have the outlet's name and link; alone they are not published again."""
    stage.spoil(HOSTS["Decrypt"])
    data = await collect(stage, cryptopanic_key=SecretStr("s3cret"))
    relayed = [article for article in data.articles if article.url.startswith("https://cryptopanic.com/news/")]
    assert {article.source for article in relayed} == {"Decrypt"}
    stage.spoil(*HOSTS.values())
    with pytest.raises(NoSourceError):
        await collect(stage, 60)


@pytest.mark.parametrize("fault", [*FAULTS, "no_rows"])
async def test_no_error_of_cryptopanic_holds_its_key(stage: Stage, fault: FaultName) -> None:
    """Whatever is wrong with it, the token is in no error."""
    stage.spoil(PANIC, *HOSTS.values(), fault=fault)
    with pytest.raises(NoSourceError) as caught:
        await collect(stage, cryptopanic_key=SecretStr("s3cret"))
    assert len(caught.value.errors) == 5
    assert "s3cret" not in str(caught.value)
    assert "http" not in str(caught.value).replace("HTTP", "")


async def test_without_a_key_cryptopanic_is_not_asked(stage: Stage) -> None:
    """No token, no source: nothing is asked and nothing is wrong."""
    await collect(stage)
    assert PANIC not in stage.simulator.tally.by_host()
