"""scheduler: the jobs of all workers, as they report them. Jobs of a worker that died have the state lost."""

from __future__ import annotations

from typing import Any

from shared.bus.reports import JobReport
from shared.catalog import CATEGORIES
from shared.errors import NoSourceError
from shared.payloads import Scheduler
from shared.payloads.scheduler import JobState
from shared.timestamps import iso
from workers.asking.pool import SourcePool
from workers.services.service import Service, ServiceContext


class SchedulerService(Service):
    """Merges the reports of all workers."""

    pools: tuple[SourcePool[Any], ...] = ()

    def __init__(self, context: ServiceContext) -> None:
        self._reports = context.reports

    async def collect(self, now: float, deadline: float) -> Scheduler:
        """See Service. Raises NoSourceError while no worker has reported a job, and BusError."""
        reports = await self._reports.jobs()
        leaders = await self._reports.leaders(CATEGORIES)
        alive = {category for category, report in reports.items() if leaders.get(category) == report.worker}
        jobs = [
            state_of(job, category, category in alive)
            for category in CATEGORIES
            if category in reports
            for job in reports[category].jobs
        ]
        if not jobs:
            raise NoSourceError("scheduler", [])
        return Scheduler(
            running=bool(alive),
            total_jobs=len(jobs),
            active_jobs=sum(job.status == "running" for job in jobs),
            jobs=jobs,
            as_of={category: iso(reports[category].at) for category in CATEGORIES if category in reports},
            timestamp=iso(now),
        )


def state_of(job: JobReport, category: str, alive: bool) -> JobState:
    """A job's state, given whether the worker that reported it still holds its category's lease."""
    gone = not alive or job.status == "stopped"
    status = job.status if alive or job.status == "stopped" else "lost"
    return JobState(
        id=job.id,
        service=job.service,
        category=category,
        interval_seconds=job.interval,
        next_run=None if gone or job.next_run is None else iso(job.next_run),
        last_run=None if job.last_run is None else iso(job.last_run),
        last_duration_seconds=None if job.last_duration is None else round(job.last_duration, 3),
        status=status,
        consecutive_failures=job.failures,
    )
