"""The simulated outlets: what they publish, and how their feeds are served."""

from __future__ import annotations

import io
import re
from collections import Counter
from typing import Any

import feedparser
import httpx
import pytest

from simulator.app import Simulator
from simulator.faults import Fault
from simulator.world.clock import Clock
from simulator.world.coins import load_coins
from simulator.world.market import Market
from simulator.world.newsroom import OUTLETS, Newsroom
from tests.simulator.conftest import NOW, Ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

FEEDS = {
    "coindesk": ("www.coindesk.com", "/arc/outboundfeeds/rss"),
    "cointelegraph": ("cointelegraph.com", "/rss"),
    "decrypt": ("decrypt.co", "/feed"),
    "theblock": ("www.theblock.co", "/rss.xml"),
}
PANIC = ("cryptopanic.com", "/api/growth/v2/posts/")


@pytest.fixture(scope="module")
def newsroom() -> Newsroom:
    return Newsroom(Market(load_coins(), 7))


def read(answer: httpx.Response) -> Any:
    """A feed as feedparser has it, which must not complain."""
    feed = feedparser.parse(io.BytesIO(answer.content))
    assert not feed.bozo
    return feed


async def test_newsrooms_depend_on_seed_and_time_only(newsroom: Newsroom) -> None:
    """Another newsroom of the same seed writes the same; one of another seed does not."""
    for key in OUTLETS:
        assert Newsroom(Market(load_coins(), 7)).feed(key, NOW) == newsroom.feed(key, NOW)
        assert Newsroom(Market(load_coins(), 8)).feed(key, NOW) != newsroom.feed(key, NOW)


@pytest.mark.parametrize("key", OUTLETS)
async def test_feeds_roll(newsroom: Newsroom, key: str) -> None:
    """A feed has its length, newest first, nothing of the future; an hour later there is more at the top."""
    now, later = newsroom.feed(key, NOW), newsroom.feed(key, NOW + 3600)
    times = [story.published for story in now]
    assert len(now) == len(later) == OUTLETS[key].length
    assert times == sorted(times, reverse=True)
    assert times[0] <= NOW
    assert later[0].published > times[0]
    assert set(now) & set(later)


async def test_headlines_are_of_this_market(newsroom: Newsroom) -> None:
    """A move in a headline is the coin's true change over the 24 h before it was published."""
    market = Market(load_coins(), 7)
    names = {coin.name: coin for coin in market.coins}
    seen = 0
    for key in OUTLETS:
        for story in newsroom.feed(key, NOW):
            move = re.fullmatch(r"(.+) (rises|climbs|jumps|slips|falls|tumbles) ([\d.]+)% as .*", story.title)
            if move and not story.title.endswith("(The Block)"):
                origin = [other for other in newsroom.feed("coindesk", NOW) if other.title == story.title] or [story]
                change = market.change(names[move[1]], min(other.published for other in origin))
                assert abs(change) == pytest.approx(float(move[3]), abs=0.06)
                assert (change > 0) == (move[2] in ("rises", "climbs", "jumps"))
                seen += 1
    assert seen > 20


async def test_outlets_share_stories(newsroom: Newsroom) -> None:
    """Cointelegraph has titles that CoinDesk had before, Decrypt has links of The Block."""
    first = {story.title: story.published for story in newsroom.feed("coindesk", NOW)}
    copies = [story for story in newsroom.feed("cointelegraph", NOW) if story.title in first]
    assert copies
    links = Counter(story.link for key in ("decrypt", "theblock") for story in newsroom.feed(key, NOW))
    assert max(links.values()) == 2


@pytest.mark.parametrize("key", FEEDS)
async def test_feeds_are_well_formed(ask: Ask, newsroom: Newsroom, clock: Clock, key: str) -> None:
    """Each feed is XML of its outlet's own habits, with every story's title, link and time."""
    answer = await ask(*FEEDS[key])
    assert answer.headers["content-type"] == "application/xml; charset=utf-8"
    feed = read(answer)
    stories = newsroom.feed(key, clock.now())
    assert len(feed.entries) == len(stories)
    for entry, story in zip(feed.entries, stories, strict=True):
        assert entry.link.partition("?")[0] == story.link
        assert re.sub("<[^>]*>", "", entry.title).replace("&amp;", "&") == story.title
    assert ("utm_" in answer.text) == (key != "decrypt") or "theblock.co" in answer.text


async def test_quirks(ask: Ask) -> None:
    """What each feed is known for."""
    texts = {key: (await ask(*place)).text for key, place in FEEDS.items()}
    assert "<title><![CDATA[" in texts["coindesk"]
    assert '<category domain="article-type">' in texts["coindesk"]
    assert "<link><![CDATA[https://cointelegraph.com/news/" in texts["cointelegraph"]
    assert '<img src="' in texts["cointelegraph"]
    assert texts["decrypt"].startswith("<?xml version='1.0'")
    assert "<category></category>" in texts["decrypt"]
    assert "&lt;em&gt;" in texts["decrypt"]
    assert " -0500</pubDate>" in texts["theblock"]
    assert "<![CDATA[The Block]]>" in texts["theblock"]


@pytest.mark.parametrize("key", FEEDS)
async def test_conditional_requests(client: httpx.AsyncClient, clock: Clock, key: str) -> None:
    """A client with the newest feed gets 304 without a body, by ETag or by date; others get the feed."""
    host, path = FEEDS[key]
    whole = await client.get(path, headers={"Host": host})
    etag, date = whole.headers["etag"], whole.headers["last-modified"]
    for known in ({"If-None-Match": etag}, {"If-None-Match": f'"x", W/{etag}'}, {"If-Modified-Since": date}):
        answer = await client.get(path, headers={"Host": host, **known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    for unknown in (
        {"If-None-Match": '"x"'},
        {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If-Modified-Since": "yesterday"},
        {"If-None-Match": '"x"', "If-Modified-Since": date},
    ):
        assert (await client.get(path, headers={"Host": host, **unknown})).status_code == 200
    clock.advance(3600)
    assert (await client.get(path, headers={"Host": host, "If-None-Match": etag})).status_code == 200


async def test_coindesk_redirects(ask: Ask) -> None:
    """The address with a slash leads to the one that the feed itself names."""
    answer = await ask("www.coindesk.com", "/arc/outboundfeeds/rss/")
    assert (answer.status_code, answer.headers["location"]) == (308, "/arc/outboundfeeds/rss")


async def test_cointelegraph_wants_a_user_agent(client: httpx.AsyncClient) -> None:
    """Without a User-Agent there is a 403 page."""
    answer = await client.get("/rss", headers={"Host": "cointelegraph.com", "User-Agent": ""})
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")


async def test_cryptopanic(ask: Ask) -> None:
    """With a token there are the newest posts of all outlets; without one it says so with 400."""
    posts = (await ask(*PANIC, auth_token="any")).json()["results"]  # noqa: S106 - no secret
    assert len(posts) == 20
    assert {post["source"]["title"] for post in posts} >= {"CoinDesk", "Cointelegraph"}
    assert len({post["id"] for post in posts}) == 20
    answer = await ask(*PANIC)
    assert (answer.status_code, answer.json()) == (400, {"status": "Incomplete", "info": "Token not found"})


@pytest.mark.parametrize("key", FEEDS)
async def test_faults_of_feeds(simulator: Simulator, client: httpx.AsyncClient, key: str) -> None:
    """A spoilt feed is spoilt for whoever has it already, too: no time can be read, or the XML breaks off."""
    host, path = FEEDS[key]
    whole = await client.get(path, headers={"Host": host})
    known = {"Host": host, "If-None-Match": whole.headers["etag"]}
    simulator.faults.set(_fault(host, "wrong_types"))
    feed = read(await client.get(path, headers=known))
    assert len(feed.entries) > 10
    assert all(entry.published == "{}" for entry in feed.entries)
    simulator.faults.set(_fault(host, "odd_row"))
    odd = read(await client.get(path, headers=known))
    assert [entry.published == "{}" for entry in odd.entries] == [True] + [False] * (len(feed.entries) - 1)
    simulator.faults.set(_fault(host, "truncated_json"))
    half = await client.get(path, headers=known)
    assert whole.content.startswith(half.content)
    assert feedparser.parse(io.BytesIO(half.content)).bozo
    for fault, status in (("error_in_200", 200), ("500", 500), ("429", 429)):
        simulator.faults.set(_fault(host, fault))
        answer = await client.get(path, headers=known)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


def _fault(host: str, name: str) -> Any:
    return Fault.model_validate({"host": host, "fault": name})
