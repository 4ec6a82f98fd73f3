"""huggingface on its stage: the registry by pages and terms, headlines by whoever can read them, silence in outages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from shared.bus import Bus
from shared.catalog import SYSTEM
from shared.channels import Channels
from shared.envelope import Envelope
from shared.errors import NoSourceError
from shared.payloads import HuggingFace, News
from shared.payloads.news import Article
from shared.timestamps import iso
from simulator.faults import Fault, FaultName
from tests.workers.services.huggingface.tiny_model import make_model
from tests.workers.stage import FAULTS, NOON, Stage, leading
from workers.answers import Repo
from workers.collector import Collector
from workers.services.huggingface.figures import HEADLINES
from workers.services.huggingface.registry import TERMS, merged
from workers.services.huggingface.service import MOST_LISTED, HuggingfaceService
from workers.services.sentiment.tone import tone
from workers.worker import Worker

HUB, ROUTER = "huggingface.co", "router.huggingface.co"
TOKEN = SecretStr("hf_kept-to-itself")
GOOD, BAD = "Bitcoin rallies as inflows surge", "Exchange hacked, tokens crash"


async def publish(stage: Stage, data: Any) -> None:
    """As the worker of another category does."""
    bus = Bus(stage.redis, Channels(stage.settings.redis_prefix), 1000)
    await bus.publish("news", msgspec.to_builtins(data))


async def headlines(stage: Stage, *titles: str) -> None:
    """An update of the news service."""
    articles = [
        Article(title=title, source="CoinDesk", url=f"https://x.example/{number}", published_at=iso(NOON))
        for number, title in enumerate(titles)
    ]
    await publish(stage, News(articles=articles, sources=["coindesk"], categories=[], timestamp=iso(NOON)))


async def let_pass(stage: Stage, seconds: float) -> None:
    """Let time pass for Redis, since the last update of the news service."""
    meta = Channels(stage.settings.redis_prefix).meta("news")
    published_ms = int(await stage.redis.hget(meta, "published_at") or 0)
    await stage.redis.hset(meta, "published_at", round(published_ms - seconds * 1000))


async def collect(stage: Stage, later: float = 0.0, deadline: float = 10.0) -> HuggingFace:
    """One cycle's payload."""
    payload: HuggingFace = await stage.collect(later, deadline)
    return payload


async def test_a_whole_update(stage: Stage) -> None:
    """Ids of all terms, the most downloaded first, no more than a hundred; totals of all that was read."""
    stage.open("huggingface")
    data = await collect(stage)
    assert len(data.available_models) == len(set(data.available_models)) == MOST_LISTED
    assert len(data.available_datasets) == MOST_LISTED
    assert (data.total_models > 300, data.total_datasets > 200) == (True, True)
    assert all(any(term in name.lower() for term in TERMS) for name in data.available_models)
    assert data.sentiment is None
    assert data.sources == ["huggingface (simulated)"]
    assert data.last_refresh == data.timestamp == iso(NOON)
    assert HuggingFace(**msgspec.to_builtins(data)).total_models == data.total_models


def test_lists_of_several_terms_become_one() -> None:
    """An id that two terms find counts once; the most downloaded come first, and ties have an order."""
    lists = [[Repo("a/x", 5), Repo("b/y", 1)], [Repo("c/z", 9), Repo("a/x", 6), Repo("a/y", 1)]]
    assert merged(lists) == (Repo("c/z", 9), Repo("a/x", 6), Repo("a/y", 1), Repo("b/y", 1))


async def test_the_hub_is_asked_every_quarter_of_an_hour(stage: Stage) -> None:
    """In between, the list is published with its time."""
    stage.open("huggingface")
    await collect(stage)
    first = stage.asked["huggingface"]
    assert 8 <= first <= 40
    for _ in range(14):
        assert (await collect(stage, 60)).last_refresh == iso(NOON)
    assert stage.asked["huggingface"] == first
    assert (await collect(stage, 60)).last_refresh == iso(NOON + 900)
    assert stage.asked["huggingface"] == 2 * first


@pytest.mark.parametrize("fault", [*FAULTS, "no_rows"])
async def test_without_the_hub_there_is_nothing_at_first(stage: Stage, fault: FaultName) -> None:
    """How many models there are can't be said, even where headlines could be read."""
    stage.open("huggingface")
    await headlines(stage, GOOD)
    stage.spoil(HUB, fault=fault)
    with pytest.raises(NoSourceError, match="huggingface"):
        await collect(stage)
    stage.heal(HUB)
    assert (await collect(stage, 400)).total_models > 300


async def test_some_lists_that_fail_leave_the_others(stage: Stage) -> None:
    """They are as they were, and named; the next refresh has all of them again."""
    stage.open("huggingface")
    assert (await collect(stage)).failed_terms == []
    stage.simulator.faults.set(Fault(host=HUB, fault="429_no_retry_after", count=2))
    after = await collect(stage, 900)
    assert after.last_refresh == iso(NOON + 900)
    # Two were refused, and whatever was to be asked for after that pause began.
    every = {f"{kind}:{term}" for kind in ("models", "datasets") for term in TERMS}
    assert 2 <= len(after.failed_terms) < len(every)
    assert set(after.failed_terms) < every
    assert after.as_of["huggingface (simulated)"] < after.last_refresh
    assert (await collect(stage, 900)).failed_terms == []


async def test_headlines_stand_while_the_hub_is_away(stage: Stage) -> None:
    """With headlines there is news of our own, and the kept list goes out with its date, for a day."""
    stage.open("huggingface")
    before = await collect(stage)
    stage.spoil(HUB)
    for hours in (1, 12, 23.9):
        await stage.wait(NOON + hours * 3600 - stage.now)
        await headlines(stage, GOOD)
        data = await collect(stage)
        assert (data.last_refresh, data.available_models) == (iso(NOON), before.available_models)
        assert data.sources == ["huggingface (simulated)", "news (simulated)"]
    await stage.wait(600)
    await headlines(stage, GOOD)
    with pytest.raises(NoSourceError):
        await collect(stage)


async def test_without_headlines_an_outage_of_the_hub_is_silence(stage: Stage) -> None:
    """A list that can't be renewed is not repeated as news once it is due."""
    stage.open("huggingface")
    await collect(stage)
    stage.spoil(HUB)
    assert await collect(stage, 840)
    with pytest.raises(NoSourceError):
        await collect(stage, 60)
    stage.heal(HUB)
    assert (await collect(stage, 300)).last_refresh == iso(NOON + 1200)


async def test_the_lexicon_reads_without_a_model(stage: Stage) -> None:
    """The score is the mean over the headlines, from 0 to 1."""
    stage.open("huggingface")
    await headlines(stage, GOOD, BAD, "Ether trades")
    sentiment = (await collect(stage)).sentiment
    assert sentiment is not None
    assert (sentiment.method, sentiment.model, sentiment.headlines) == ("lexicon", None, 3)
    assert sentiment.score == pytest.approx(((tone(GOOD) + tone(BAD) + tone("Ether trades")) / 3 + 1) / 2, abs=1e-4)


async def test_a_hub_model_reads_with_a_token(stage: Stage) -> None:
    """Each headline is read once; the update names the model, and the router is a source."""
    stage.open("huggingface", huggingface_token=TOKEN, huggingface_model="ElKulako/cryptobert")
    await headlines(stage, GOOD)
    data = await collect(stage)
    assert data.sentiment is not None
    assert (data.sentiment.method, data.sentiment.model) == ("hub_model", "ElKulako/cryptobert")
    assert data.sentiment.score > 0.8
    assert data.sources == [
        *("huggingface (simulated)", "news (simulated)", "huggingface_inference (simulated)"),
    ]
    assert await collect(stage, 60)
    assert stage.asked["huggingface_inference"] == 1
    await headlines(stage, GOOD, BAD)
    after = (await collect(stage, 60)).sentiment
    assert after is not None
    assert (after.headlines, stage.asked["huggingface_inference"]) == (2, 2)
    assert 0.3 < after.score < 0.7
    assert not any("private" in name for name in data.available_models)


@pytest.mark.parametrize("fault", [*FAULTS, "no_rows"])
async def test_when_the_hub_model_fails_the_lexicon_speaks(stage: Stage, fault: FaultName) -> None:
    """In the same cycle, under its own name; afterwards the model returns by itself."""
    stage.open("huggingface", huggingface_token=TOKEN)
    await headlines(stage, GOOD)
    stage.spoil(ROUTER, fault=fault)
    data = await collect(stage)
    assert data.sentiment is not None
    assert (data.sentiment.method, data.sentiment.model) == ("lexicon", None)
    assert "huggingface_inference (simulated)" not in data.sources
    stage.heal(ROUTER)
    back = (await collect(stage, 400)).sentiment
    assert back is not None
    assert back.method == "hub_model"
    assert [(pool, before, now) for pool, before, now, _ in stage.failovers] == [
        ("huggingface headlines", "huggingface_inference", None),
        ("huggingface headlines", None, "huggingface_inference"),
    ]


@pytest.mark.parametrize("model", ["SamLowe/roberta-base-go_emotions", "nobody/nothing"])
async def test_a_model_that_cannot_judge_news_leaves_it_to_the_lexicon(stage: Stage, model: str) -> None:
    """A model of emotions, and one that the router does not have."""
    stage.open("huggingface", huggingface_token=TOKEN, huggingface_model=model)
    await headlines(stage, GOOD)
    sentiment = (await collect(stage)).sentiment
    assert sentiment is not None
    assert sentiment.method == "lexicon"


async def test_a_local_model_reads_where_there_is_one(stage: Stage, tmp_path: Path) -> None:
    """Instead of the lexicon; with a token too, behind the hub's."""
    folder = make_model(tmp_path / "mine")
    await headlines(stage, "rally", "rally", "rally", "crash")
    stage.open("huggingface", model_folder=folder)
    sentiment = (await collect(stage)).sentiment
    assert sentiment is not None
    assert (sentiment.method, sentiment.model) == ("local_model", "mine")
    assert sentiment.score == pytest.approx(0.75, abs=1e-3)
    stage.open("huggingface", model_folder=folder, huggingface_token=TOKEN)
    both = (await collect(stage, 60)).sentiment
    assert both is not None
    assert both.method == "hub_model"
    stage.spoil(ROUTER)
    await headlines(stage, "crash crash")
    after = (await collect(stage, 60)).sentiment
    assert after is not None
    assert (after.method, after.score) == ("local_model", pytest.approx(0, abs=1e-3))


async def test_old_headlines_are_not_current(stage: Stage) -> None:
    """Half an hour after the last update of the news service there are none."""
    stage.open("huggingface")
    await headlines(stage, GOOD)
    assert (await collect(stage, 7200)).sentiment is not None  # whatever the clock of this worker says
    await let_pass(stage, HEADLINES - 30)
    assert (await collect(stage, 1)).sentiment is not None
    await let_pass(stage, 31)
    data = await collect(stage, 1)
    assert data.sentiment is None
    assert data.sources == ["huggingface (simulated)"]


async def test_an_update_without_headlines_gives_no_score(stage: Stage) -> None:
    """Nothing is said of nothing."""
    stage.open("huggingface")
    await headlines(stage)
    assert (await collect(stage)).sentiment is None


@pytest.mark.parametrize("data", [{}, {"articles": [{"title": 1}]}])
async def test_an_update_of_another_version_is_left_alone(stage: Stage, data: dict[str, Any]) -> None:
    """What does not fit is not read, and said once."""
    stage.open("huggingface")
    await publish(stage, {"sources": [], "categories": [], **data})
    with capture_logs() as logs:
        assert (await collect(stage)).sentiment is None
        assert (await collect(stage, 60)).sentiment is None
    assert [line["log_level"] for line in logs if "does not fit" in line["event"]] == ["warning"]


async def test_pools_tell_of_a_token(stage: Stage) -> None:
    """Without one there is one pool."""
    assert [pool.name for pool in stage.open("huggingface").pools] == ["huggingface"]
    service: HuggingfaceService = stage.open("huggingface", huggingface_token=TOKEN)
    assert [pool.name for pool in service.pools] == ["huggingface", "huggingface headlines"]


@pytest.fixture
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """A worker that holds its lease; its jobs are not started."""
    async with leading(stage, "system") as worker:
        yield worker


async def test_an_outage_is_told_and_ends_by_itself(stage: Stage, worker: Worker) -> None:
    """Stale three intervals after the list could not be renewed, recovered once the hub is back."""
    service = stage.open("huggingface")
    collector = Collector("huggingface", service, worker, clock=lambda: stage.now, wall_clock=lambda: stage.now)

    async def cycle() -> bool:
        await stage.wait(60)
        return await collector.cycle()

    assert await cycle()
    stage.spoil(HUB)
    assert [await cycle() for _ in range(20)] == [True] * 14 + [False] * 6
    stage.heal(HUB)
    assert [await cycle() for _ in range(7)][-1]
    entries = await stage.redis.xrange(Channels(stage.settings.redis_prefix).stream(SYSTEM))
    notices = [Envelope.unpack(fields[b"m"]).data for _, fields in entries]
    assert [(notice["event"], notice["about"]) for notice in notices if notice["event"] != "source_failed_over"] == [
        ("service_stale", "huggingface"),
        ("service_recovered", "huggingface"),
    ]
