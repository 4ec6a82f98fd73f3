"""What a worker tells of itself: calls, pools, failovers and jobs, gathered and written together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from launcher.redis_server import RedisServer
from shared.bus import open_redis
from shared.bus.reports import Reports
from shared.channels import Channels
from shared.errors import BusError, ProviderError, UnconfirmedError
from shared.settings import Settings
from tests.shared.outage import pause, resume
from tests.waiting import until
from workers.asking.provider import StatusError
from workers.jobs import Jobs
from workers.reporter import Reporter

NOW = 1_795_435_200.0


@dataclass
class Work:
    """A reporter over a Redis that can be taken away, and a second reader of what it tells."""

    server: RedisServer
    reporter: Reporter
    reports: Reports
    leading: bool = field(default=True)


@pytest.fixture
async def work(settings: Settings, redis_server: RedisServer) -> AsyncIterator[Work]:
    redis = open_redis(settings)
    reports = Reports(redis, Channels(settings.redis_prefix))
    jobs = Jobs()

    async def cycle() -> bool:
        return True

    jobs.add("news", 60.0, cycle)
    yield Work(redis_server, Reporter(reports, "data_collection", "w1", jobs, lambda: NOW), reports)
    await redis.aclose()


async def test_a_call_is_told_with_what_it_took(work: Work) -> None:
    """The last call of a provider counts: its time, its milliseconds, its error."""
    work.reporter.called("a", 0.25, None)
    work.reporter.called("b", 0.1, StatusError("b", 429))
    work.reporter.called("c", 0.1, ProviderError("c", "Expected `float`", field="$.price"))
    await work.reporter.report()
    calls = await work.reports.calls()
    assert (calls["a"].at, calls["a"].milliseconds, calls["a"].error, calls["a"].failures) == (NOW, 250.0, None, 0)
    assert (calls["b"].error, calls["b"].limited, calls["b"].failures) == ("HTTP 429", True, 1)
    assert (calls["c"].error, calls["c"].limited) == ("Expected `float` (field $.price)", False)


async def test_silence_keeps_the_time_of_the_last_answer(work: Work) -> None:
    """A call without an answer has no time of its own: the last one's stays, and there is none before the first."""
    work.reporter.called("a", None, ProviderError("a", "no answer within 2.0 s"))
    await work.reporter.report()
    assert (await work.reports.calls())["a"].milliseconds is None
    work.reporter.called("a", 0.1, None)
    work.reporter.called("a", None, ProviderError("a", "no answer within 2.0 s"))
    await work.reporter.report()
    call = (await work.reports.calls())["a"]
    assert (call.milliseconds, call.failures) == (100.0, 1)


async def test_failures_in_a_row_are_counted_over_reports(work: Work) -> None:
    """However the calls fall between reports, the count is that of failures since the last success."""
    failure = ProviderError("a", "HTTP 500")
    counts = []
    for outcomes in ("x", "xx", "", "ox", "x", "xo", "x"):
        for outcome in outcomes:
            work.reporter.called("a", 0.1, failure if outcome == "x" else None)
        await work.reporter.report()
        counts.append((await work.reports.calls())["a"].failures)
    assert counts == [1, 3, 3, 1, 2, 0, 1]


async def test_jobs_are_told_with_their_worker_and_as_stopped_at_its_end(work: Work) -> None:
    """A report names the worker of the jobs; the last one marks them as stopped."""
    await work.reporter.report()
    report = (await work.reports.jobs())["data_collection"]
    assert (report.worker, [job.id for job in report.jobs]) == ("w1", ["news_collection"])
    await work.reporter.report(stopped=True)
    (job,) = (await work.reports.jobs())["data_collection"].jobs
    assert (job.status, job.next_run) == ("stopped", None)


async def test_what_redis_did_not_take_is_told_later(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Failures and failovers during an outage of Redis are in the counts after it."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    redis = open_redis(Settings(_env_file=None, redis_url=server.url))
    reports = Reports(redis, Channels("test-reporter"))
    reporter = Reporter(reports, "data_collection", "w1", Jobs(), lambda: NOW)
    try:
        reporter.called("a", 0.1, ProviderError("a", "HTTP 500"))
        reporter.called("b", 0.1, ProviderError("b", "HTTP 500"))
        reporter.failed_over("news")
        server.kill()
        with pytest.raises(BusError):
            await reporter.report()
        reporter.called("a", 0.1, ProviderError("a", "HTTP 502"))
        reporter.called("b", 0.1, None)
        reporter.failed_over("news")
        server.start()
        await reporter.report()
        calls = await reports.calls()
        assert {name: (call.failures, call.error) for name, call in calls.items()} == {
            "a": (2, "HTTP 502"),
            "b": (0, None),
        }
        assert await reports.failovers() == {"news": 2}
    finally:
        await redis.aclose()
        server.stop()


@pytest.mark.slow
async def test_what_redis_did_not_answer_is_counted_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Redis hangs while a report is under way, and executes it later: its counts are not added to the next one."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    redis = open_redis(Settings(_env_file=None, redis_url=server.url))
    reports = Reports(redis, Channels("test-reporter"))
    reporter = Reporter(reports, "data_collection", "w1", Jobs(), lambda: NOW)
    try:
        await reporter.report()
        reporter.called("a", 0.1, ProviderError("a", "HTTP 500"))
        reporter.failed_over("news")
        pause(server)
        with pytest.raises(UnconfirmedError):
            await reporter.report()
        reporter.called("a", 0.1, ProviderError("a", "HTTP 502"))
        reporter.failed_over("news")
        resume(server)
        await reporter.report()
        assert {name: (call.failures, call.error) for name, call in (await reports.calls()).items()} == {
            "a": (2, "HTTP 502")
        }
        assert await reports.failovers() == {"news": 2}
    finally:
        await redis.aclose()
        resume(server)
        server.stop()


async def test_a_worker_that_stands_by_tells_nothing(work: Work) -> None:
    """Only the leader of a category reports."""
    work.leading = False
    asked = 0

    def leads() -> bool:
        nonlocal asked
        asked += 1
        return work.leading

    async def told() -> bool:
        return bool(await work.reports.jobs())

    running = asyncio.create_task(work.reporter.run(leads))
    await until(lambda: asked > 1, 5)
    assert await work.reports.jobs() == {}
    work.leading = True
    await until(told, 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_calls_of_an_earlier_lead_are_not_told_in_the_next(work: Work) -> None:
    """What was called before the lease was lost is older than what others told since; a failover happened all the
    same."""
    other = Reporter(work.reports, "monitoring", "w2", Jobs(), lambda: NOW + 60)
    work.reporter.called("a", 0.1, ProviderError("a", "HTTP 500"))
    work.reporter.failed_over("news")
    other.called("a", 0.1, None)
    await other.report()
    work.leading = False
    asked = 0

    def leads() -> bool:
        nonlocal asked
        asked += 1
        return work.leading

    async def told() -> bool:
        return "data_collection" in await work.reports.jobs()

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(work.reporter.run(leads))
        await until(lambda: asked > 1, 5)
        work.leading = True
        await until(told, 5)
        running.cancel()
    call = (await work.reports.calls())["a"]
    assert (call.at, call.error, call.failures) == (NOW + 60, None, 0)
    assert await work.reports.failovers() == {"news": 1}


async def test_what_a_stop_cuts_short_is_told_last(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A report under way when the worker stops is neither lost nor written twice."""
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    redis = open_redis(Settings(_env_file=None, redis_url=server.url))
    reports = Reports(redis, Channels("test-reporter"))
    reporter = Reporter(reports, "data_collection", "w1", Jobs(), lambda: NOW)
    try:
        reporter.called("a", 0.1, ProviderError("a", "HTTP 500"))
        reporter.failed_over("news")
        reporting = asyncio.create_task(reporter.run(lambda: True))
        asyncio.get_running_loop().call_soon(reporting.cancel)  # once it has begun its first report
        with pytest.raises(asyncio.CancelledError):
            await reporting
        await reporter.report(stopped=True)
        assert {name: call.failures for name, call in (await reports.calls()).items()} == {"a": 1}
        assert await reports.failovers() == {"news": 1}
    finally:
        await redis.aclose()
        server.stop()
