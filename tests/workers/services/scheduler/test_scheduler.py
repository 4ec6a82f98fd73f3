"""scheduler: what it makes of the workers' reports."""

from __future__ import annotations

import msgspec
import pytest

from shared.bus.lease import Lease
from shared.bus.reports import JobReport, JobsReport
from shared.channels import Channels
from shared.errors import NoSourceError
from shared.payloads import Scheduler
from shared.timestamps import iso
from tests.workers.stage import NOON, Stage

JOB = JobReport(
    id="news_collection",
    service="news",
    interval=60.0,
    status="waiting",
    next_run=NOON + 30,
    last_run=NOON - 30,
    last_duration=0.51234,
    failures=2,
)


class Reporting:
    """Workers that tell of their jobs."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._leases: dict[str, Lease] = {}

    async def tells(self, category: str, *jobs: JobReport) -> None:
        """The worker that holds a category's lease reports its jobs."""
        channels = Channels(self._stage.settings.redis_prefix)
        lease = self._leases.setdefault(category, Lease(self._stage.redis, channels, category, 60.0))
        await lease.refresh()
        report = JobsReport(worker=lease.owner, at=self._stage.now, jobs=jobs)
        await self._stage.context().reports.write(calls={}, failed={}, pools={}, failovers={}, jobs={category: report})

    async def dies(self, category: str) -> None:
        """The worker's lease runs out."""
        await self._stage.redis.delete(Channels(self._stage.settings.redis_prefix).lease(category))

    async def state(self) -> Scheduler:
        """What is published now."""
        payload: Scheduler = await self._stage.collect()
        return payload


@pytest.fixture
def workers(stage: Stage) -> Reporting:
    stage.open("scheduler")
    return Reporting(stage)


async def test_a_job_is_shown_as_its_worker_has_it(workers: Reporting) -> None:
    """When it ran, how long, when it runs next, how often it failed in a row."""
    await workers.tells("data_collection", JOB)
    found = await workers.state()
    (job,) = found.jobs
    assert (job.id, job.service, job.category, job.interval_seconds) == (
        "news_collection",
        "news",
        "data_collection",
        60,
    )
    assert (job.last_run, job.next_run, job.last_duration_seconds) == (iso(NOON - 30), iso(NOON + 30), 0.512)
    assert (job.status, job.consecutive_failures) == ("waiting", 2)
    assert (found.running, found.total_jobs, found.active_jobs) == (True, 1, 0)


async def test_jobs_of_all_workers_are_listed_and_the_running_counted(workers: Reporting) -> None:
    """In the order of the categories, regardless of the order of reports."""
    running = msgspec.structs.replace(JOB, id="scheduler_collection", service="scheduler", status="running")
    await workers.tells("monitoring", running)
    await workers.tells("data_collection", JOB)
    found = await workers.state()
    assert [job.id for job in found.jobs] == ["news_collection", "scheduler_collection"]
    assert (found.total_jobs, found.active_jobs) == (2, 1)


async def test_jobs_of_a_dead_worker_are_lost(workers: Reporting) -> None:
    """Once its lease has run out nothing of it is running, and nothing is planned; another's goes on."""
    running = msgspec.structs.replace(JOB, status="running")
    await workers.tells("data_collection", running)
    await workers.tells("monitoring", JOB)
    await workers.dies("data_collection")
    found = await workers.state()
    assert [(job.status, job.next_run is None) for job in found.jobs] == [("lost", True), ("waiting", False)]
    assert (found.running, found.active_jobs) == (True, 0)
    await workers.dies("monitoring")
    assert not (await workers.state()).running


async def test_jobs_of_a_worker_that_was_shut_down_are_stopped(workers: Reporting) -> None:
    """A worker that said goodbye is not lost."""
    await workers.tells("data_collection", msgspec.structs.replace(JOB, status="stopped", next_run=None))
    await workers.dies("data_collection")
    assert [job.status for job in (await workers.state()).jobs] == ["stopped"]


async def test_a_successor_replaces_the_lost(workers: Reporting, stage: Stage) -> None:
    """The jobs of a category are those of the worker that took it over."""
    await workers.tells("data_collection", JOB)
    await workers.dies("data_collection")
    await Reporting(stage).tells("data_collection", msgspec.structs.replace(JOB, status="running"))
    assert [job.status for job in (await workers.state()).jobs] == ["running"]


async def test_nothing_reported_is_nothing_published(workers: Reporting) -> None:
    """Before any worker has told of a job there is no update."""
    with pytest.raises(NoSourceError):
        await workers.state()
