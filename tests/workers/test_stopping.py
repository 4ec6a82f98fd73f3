"""How a worker's jobs end."""

from __future__ import annotations

import asyncio
import logging

import pytest
from structlog.testing import capture_logs

from shared.bus import open_redis
from shared.channels import Channels
from shared.errors import NoSourceError
from shared.payloads import Payload
from shared.settings import Settings
from tests.waiting import until
from workers.jobs import Jobs
from workers.worker import Worker


async def test_stopping_in_mid_cycle_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """A cycle that runs when the worker stops is cancelled and waited for; nothing is logged as an error."""
    jobs = Jobs()
    started, ended = asyncio.Event(), asyncio.Event()

    async def cycle() -> bool:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return True

    jobs.add("news", 60, cycle)
    jobs.start()
    await asyncio.wait_for(started.wait(), 5)
    with caplog.at_level(logging.WARNING):
        await jobs.stop()
        await until(ended.is_set, 5)
    assert caplog.records == []


async def test_a_cycle_that_a_stop_cuts_short_is_no_failure() -> None:
    """What was cancelled says nothing of the service: the count of failures stays, and so does the last run's time."""
    jobs = Jobs()
    started = asyncio.Event()

    async def cycle() -> bool:
        started.set()
        await asyncio.Event().wait()
        return True

    job = jobs.add("news", 60, cycle)
    jobs.start()
    await asyncio.wait_for(started.wait(), 5)
    await jobs.stop()
    await until(lambda: job.status != "running", 5)
    assert (job.status, job.failures, job.last_duration) == ("waiting", 0, None)


async def test_a_cycle_while_another_worker_leads_is_no_run(settings: Settings) -> None:
    """The next leader does not report a run that collected nothing."""
    worker = Worker(settings, "system")  # its lease is never asked for: it stands by
    worker.add("persistence", Broken())
    job = worker.jobs.jobs["persistence"]
    worker.jobs.start()
    first = worker.jobs.next_run("persistence")
    await until(lambda: worker.jobs.next_run("persistence") != first and job.status != "running", 5)
    await worker.jobs.stop()
    await worker.aclose()
    assert (job.status, job.last_started, job.last_duration, job.failures) == ("waiting", None, None, 0)


async def test_a_cycle_that_raises_is_logged_and_the_job_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is logged with its traceback; the next cycle still runs."""
    jobs = Jobs()
    runs = 0

    async def cycle() -> bool:
        nonlocal runs
        runs += 1
        raise ZeroDivisionError("a bug")

    job = jobs.add("news", 0.05, cycle)
    jobs.start()
    await until(lambda: runs >= 2, 5)
    await jobs.stop()
    assert "a bug" in caplog.text
    assert job.failures >= 1


class Broken:
    """A service whose work between its cycles fails."""

    pools = ()

    async def collect(self, now: float, deadline: float) -> Payload:
        raise NoSourceError("news", [])

    async def run(self) -> None:
        raise ZeroDivisionError("a bug")


async def test_a_worker_whose_resident_dies_ends_with_status_1(settings: Settings) -> None:
    """What a service does between its cycles is not left dead: the process says why and goes, and gives its lease
    back."""
    worker = Worker(settings, "system")  # which has no services of its own
    worker.add("persistence", Broken())
    with capture_logs() as logs:
        assert await worker.run() == 1
    (line,) = (line for line in logs if line["log_level"] == "critical")
    assert (line["task"], str(line["exc_info"])) == ("residents", "a bug")
    redis = open_redis(settings)
    assert await redis.get(Channels(settings.redis_prefix).lease("system")) is None
    await redis.aclose()
