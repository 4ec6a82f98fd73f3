"""SentimentService against the simulator, over real sockets and a real Redis: any one source of a score is enough."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from shared.errors import NoSourceError
from shared.payloads import News, Sentiment
from shared.payloads.news import Article
from shared.timestamps import iso
from simulator.faults import FaultName
from simulator.world.crowd import Crowd
from tests.workers.stage import FAULTS, Stage
from workers.asking.provider import StatusError
from workers.providers.coinmarketcap import CoinMarketCap
from workers.providers.reddit import Reddit
from workers.services import load_service
from workers.services.sentiment.service import SentimentService

ALTERNATIVE, CMC, GECKO = "api.alternative.me", "pro-api.coinmarketcap.com", "api.coingecko.com"
WWW, OAUTH = "www.reddit.com", "oauth.reddit.com"
ALL = (ALTERNATIVE, CMC, GECKO)
REDDIT = {"reddit_client_id": "an-app", "reddit_client_secret": SecretStr("its-secret")}
DAY = 86_400.0


async def collect(stage: Stage, later: float = 0.0, deadline: float = 4.0) -> Sentiment:
    """One cycle."""
    if not hasattr(stage, "service"):
        stage.open("sentiment")
    data: Sentiment = await stage.collect(later, deadline)
    return data


def sources(data: Sentiment) -> list[str]:
    assert all(source.endswith(" (simulated)") for source in data.sources)
    return [source.removesuffix(" (simulated)") for source in data.sources]


def headlines(stage: Stage, *titles: str, age: float = 3600.0, published: float = 30.0) -> None:
    """Let the news service have published these titles, `age` seconds old, `published` seconds ago."""
    articles = [
        Article(title=title, source="Outlet", url=f"https://example.org/{n}", published_at=iso(stage.now - age))
        for n, title in enumerate(titles)
    ]
    stage.latest["news"] = News(
        articles=articles, sources=["Outlet"], categories=[], timestamp=iso(stage.now - published)
    )


async def test_a_whole_update(stage: Stage) -> None:
    """With all sources well, each has its score, the topics are coins, and everything says that it is simulated."""
    headlines(stage, "Bitcoin surges to record high", "Exchange adoption rises", "Ether rallies")
    data = await collect(stage)
    assert list(data.sentiment_by_source) == ["fear_and_greed", "headlines", "coingecko_votes"]
    assert all(0 <= value <= 1 for value in data.sentiment_by_source.values())
    assert data.sentiment_by_source["headlines"] > 0.5
    assert min(data.sentiment_by_source.values()) <= data.sentiment_score <= max(data.sentiment_by_source.values())
    assert len(data.trending_topics) == 15
    assert set(data.trending_topics) <= {coin.name for coin in stage.simulator.market.coins}
    assert data.social_volume is None
    assert sources(data) == ["alternative_me", "news", "coingecko"]


async def test_each_source_is_asked_no_more_than_it_must(stage: Stage) -> None:
    """In half an hour of cycles: the index twice, trending six times, the votes of two coins three times."""
    for _ in range(60):
        await collect(stage, 30)
    assert stage.asked == {"alternative_me": 2, "coingecko": 6 + 2 * 3}


async def test_the_index_is_that_of_alternative_me(stage: Stage) -> None:
    """fear_and_greed is the value of the day by 100."""
    data = await collect(stage)
    value = Crowd(stage.simulator.market).greed(stage.now // DAY * DAY)
    assert data.sentiment_by_source["fear_and_greed"] == value / 100


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_of_the_index_fails_over_in_the_same_cycle(stage: Stage, fault: FaultName) -> None:
    """Whatever is wrong with alternative.me, CoinMarketCap's index is published in that very cycle, and named."""
    stage.spoil(ALTERNATIVE, fault=fault)
    data = await collect(stage)
    assert sources(data) == ["coinmarketcap", "coingecko"]
    assert "fear_and_greed" in data.sentiment_by_source
    assert [told[1:3] for told in stage.failovers] == [("alternative_me", "coinmarketcap")]


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_of_coingecko_leaves_the_rest(stage: Stage, fault: FaultName) -> None:
    """Without CoinGecko there are no topics and no votes, and the index still gives a score."""
    stage.spoil(GECKO, fault=fault)
    data = await collect(stage)
    assert (sources(data), data.trending_topics) == (["alternative_me"], [])
    assert list(data.sentiment_by_source) == ["fear_and_greed"]
    assert data.sentiment_score == data.sentiment_by_source["fear_and_greed"]


@pytest.mark.slow
async def test_a_hanging_index_leaves_time_for_the_fallback(stage: Stage) -> None:
    """A source that never answers costs part of the cycle, not the cycle."""
    stage.spoil(ALTERNATIVE, fault="hang")
    assert sources(await collect(stage, deadline=5.0)) == ["coinmarketcap", "coingecko"]


async def test_the_primary_takes_over_when_it_is_back(stage: Stage) -> None:
    """alternative.me is asked again after its pause, however young the fallback's value is."""
    stage.spoil(ALTERNATIVE)
    await collect(stage)
    stage.heal(ALTERNATIVE)
    assert sources(await collect(stage, 30)) == ["alternative_me", "coingecko"]


async def test_headlines_alone_are_enough(stage: Stage) -> None:
    """With every source down, what needs none of them goes on."""
    stage.spoil(*ALL)
    headlines(stage, "Bridge hacked, millions drained", "Bitcoin plunges", "Lawsuit against exchange", "Ether tumbles")
    data = await collect(stage)
    assert list(data.sentiment_by_source) == ["headlines"]
    assert (data.overall_sentiment, sources(data), data.trending_topics) == ("bearish", ["news"], [])


async def test_the_headlines_of_the_news_service_count(stage: Stage) -> None:
    """What that service publishes is what this one reads."""
    stage.open("news")
    stage.latest["news"] = await stage.collect()
    stage.open("sentiment")
    data = await collect(stage, 30)
    assert "news" in sources(data)
    assert 0 < data.sentiment_by_source["headlines"] < 1
    assert data.sentiment_by_source["headlines"] != 0.5


async def test_old_headlines_do_not_count(stage: Stage) -> None:
    """Neither titles of the day before, nor those of a news service that has stopped."""
    stage.spoil(*ALL)
    headlines(stage, "Bitcoin plunges", age=DAY + 60)
    with pytest.raises(NoSourceError):
        await collect(stage)
    headlines(stage, "Bitcoin plunges", published=200.0)
    with pytest.raises(NoSourceError):
        await collect(stage, 30)


async def test_without_any_source_the_errors_are_told(stage: Stage) -> None:
    """Nothing is invented: NoSourceError holds what each source said."""
    stage.spoil(*ALL)
    with pytest.raises(NoSourceError) as caught:
        await collect(stage)
    assert {error.provider for error in caught.value.errors} == {"alternative_me", "coinmarketcap", "coingecko"}


async def test_nothing_is_repeated_when_no_source_answers_any_more(stage: Stage) -> None:
    """With all sources down, figures stand until the first should have been asked again; then nothing is published,
    though they are young enough to fill gaps; and it recovers by itself."""
    first = await collect(stage)
    stage.spoil(*ALL)
    assert (await collect(stage, 270)).sentiment_by_source == first.sentiment_by_source
    with pytest.raises(NoSourceError):
        await collect(stage, 30)
    stage.heal(*ALL)
    assert sources(await collect(stage, 60)) == ["alternative_me", "coingecko"]


async def test_one_part_that_fails_does_not_have_the_others_asked_all_the_time(stage: Stage) -> None:
    """While both indexes are down, CoinGecko is asked at most every other minute: its budget is not ours alone."""
    stage.spoil(ALTERNATIVE, CMC)
    for _ in range(20):
        await collect(stage, 30)
    assert stage.asked["coingecko"] <= 5 * 3


async def test_an_index_that_is_no_longer_renewed_is_left_to_the_fallback(stage: Stage) -> None:
    """An index more than two hours past its day is a failure, which states its age."""
    midnight = (stage.now // DAY + 1) * DAY
    await stage.wait(midnight + DAY / 2 - stage.now)
    stage.leave_behind(14 * 3600 + 60)  # the simulator's own time stays at noon
    assert sources(await collect(stage)) == ["coinmarketcap", "coingecko"]
    assert [told[3] for told in stage.failovers] == ["its index is 26 hours old"]


async def test_old_figures_are_left_out(stage: Stage) -> None:
    """While the index answers, topics go after an hour without CoinGecko, and its votes after two."""
    await collect(stage)
    stage.spoil(GECKO)
    data = await collect(stage, 1800)
    assert data.trending_topics
    data = await collect(stage, 1830)
    assert (data.trending_topics, "coingecko_votes" in data.sentiment_by_source) == ([], True)
    data = await collect(stage, 3600)
    assert sources(data) == ["alternative_me"]


async def test_reddit_counts_when_it_is_configured(stage: Stage) -> None:
    """With an app's id and secret, posts of the last 24 h have a tone and a number: all of them, more than a page."""
    stage.open("sentiment", **REDDIT)
    data = await collect(stage)
    assert sources(data) == ["alternative_me", "coingecko", "reddit"]
    assert 0 < data.sentiment_by_source["reddit"] < 1
    crowd = Crowd(stage.simulator.market)
    newest = crowd.newest(stage.now)
    assert data.social_volume == sum(
        stage.now - DAY <= crowd.post(newest - back).created <= stage.now for back in range(400)
    )
    assert data.social_volume > 150
    assert stage.asked["reddit"] == 1 + 3  # a token, and pages until one ends before yesterday


@pytest.mark.parametrize("host", [WWW, OAUTH])
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_of_reddit_leaves_the_rest(stage: Stage, host: str, fault: FaultName) -> None:
    """Whatever is wrong with Reddit, the other sources are published, and no post is counted."""
    stage.open("sentiment", **REDDIT)
    stage.spoil(host, fault=fault)
    data = await collect(stage)
    assert (sources(data), data.social_volume) == (["alternative_me", "coingecko"], None)


async def test_a_refused_token_is_replaced(stage: Stage) -> None:
    """A 401 costs one attempt; the next one gets another token. Until then the posts read before still count."""
    stage.open("sentiment", **REDDIT)
    before = await collect(stage)
    stage.simulator.clock.advance(DAY)  # only Reddit's clock: its token is void, while ours says that it is good
    data = await collect(stage, 600)
    assert data.social_volume is not None
    assert data.sentiment_by_source["reddit"] != 0
    assert stage.asked["reddit"] == 4 + 1
    assert before.social_volume is not None
    await collect(stage, 30)
    assert stage.asked["reddit"] > 4 + 1 + 2


async def test_a_token_is_kept_until_shortly_before_its_end(stage: Stage) -> None:
    """One token serves for a day, less a minute."""
    time = 1000.0
    reddit = Reddit("an-app:its-secret", clock=lambda: time)
    ask = stage.asker(reddit, 10.0)
    for moment, calls in ((1000.0, 2), (1000.0 + DAY - 61, 3), (1000.0 + DAY - 60, 5)):
        time = moment
        await reddit.posts(ask, stage.now - 3600)
        assert stage.asked["reddit"] == calls


async def test_keys_are_in_no_error(stage: Stage) -> None:
    """What providers say when they refuse holds neither an app's secret nor a key nor a token nor an address."""
    stage.spoil(CMC, WWW, OAUTH)
    reddit, cmc = Reddit("an-app:its-secret"), CoinMarketCap("cmc-secret-key")
    for question in (
        reddit.posts(stage.asker(reddit, 5.0), stage.now),
        cmc.fear_and_greed(stage.asker(cmc, 5.0)),
    ):
        with pytest.raises(StatusError) as caught:
            await question
        assert not any(word in str(caught.value) for word in ("secret", "an-app", "http", "Basic", "Bearer"))


async def test_a_coinmarketcap_key_is_sent_where_keys_are_taken(stage: Stage) -> None:
    """With a key the same index comes from the path that asks for one; without, from the public one."""
    stage.spoil(ALTERNATIVE)
    stage.open("sentiment", coinmarketcap_key=SecretStr("a-key"))
    with_key = await collect(stage)
    stage.open("sentiment")
    assert (await collect(stage, 1)).sentiment_by_source == with_key.sentiment_by_source
    paths = stage.simulator.tally.by_host()[CMC]
    assert paths == {"/v3/fear-and-greed/latest": 1, "/public-api/v3/fear-and-greed/latest": 1}


def test_the_table_loads_the_service(stage: Stage) -> None:
    """`load_service` makes it from a context, with nothing asked yet; Reddit only where it is set up."""
    service = load_service("sentiment", stage.context())
    assert isinstance(service, SentimentService)
    names = ["sentiment fear and greed", "sentiment trending", "sentiment votes"]
    assert [pool.name for pool in service.pools] == names
    assert [pool.name for pool in load_service("sentiment", stage.context(**REDDIT)).pools] == [
        *names,
        "sentiment posts",
    ]
