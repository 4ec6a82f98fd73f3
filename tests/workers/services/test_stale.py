"""Every service through an outage of all its sources: silence, a notice, and recovery by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.bus import open_redis
from shared.catalog import SERVICES, SYSTEM, of_category
from shared.channels import Channels
from shared.envelope import Envelope
from tests.workers.stage import Stage, leading
from workers.collector import Collector
from workers.worker import Worker

pytestmark = pytest.mark.slow


@pytest.fixture
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """A worker that holds its lease; its jobs are not started."""
    async with leading(stage, "data_collection") as worker:
        yield worker


async def published(stage: Stage, name: str) -> list[dict[str, Any]]:
    """The data of all updates on a channel."""
    redis = open_redis(stage.settings)
    entries = await redis.xrange(Channels(stage.settings.redis_prefix).stream(name))
    await redis.aclose()
    return [Envelope.unpack(fields[b"m"]).data for _, fields in entries]


@pytest.mark.parametrize("name", of_category("data_collection"))
async def test_a_service_without_any_source_is_silent_stale_and_back(stage: Stage, worker: Worker, name: str) -> None:
    """With every source down nothing is published, `system` says stale once, and recovered once they are back."""
    interval = SERVICES[name].interval
    service = stage.open(name)
    collector = Collector(name, service, worker, clock=lambda: stage.now, wall_clock=lambda: stage.now)

    async def cycle() -> bool:
        await stage.wait(interval)
        return await collector.cycle()

    assert await cycle()
    before = len(await published(stage, name))
    hosts = list(stage.simulator.hosts)
    stage.spoil(*hosts)
    outcomes = [await cycle() for _ in range(30)]
    assert not any(outcomes[_patience(interval) :])
    silent = len(await published(stage, name))
    assert silent - before == sum(outcomes)
    stage.heal(*hosts)
    # A source that failed is left alone for up to five minutes.
    back = [await cycle() for _ in range(int(300 / interval) + 2)]
    assert back[-1]
    assert len(await published(stage, name)) == silent + sum(back)
    notices = [(notice["event"], notice["about"]) for notice in await published(stage, SYSTEM)]
    ours = [notice for notice in notices if notice[0] in ("service_stale", "service_recovered")]
    assert ours == [("service_stale", name), ("service_recovered", name)]


def _patience(interval: float) -> int:
    """Cycles for which what is young may still be published: a list of coins stands for a minute, a price book for
    five."""
    return int(300 / interval) + 1 if interval < 60 else 1
