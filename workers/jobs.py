"""Jobs: when each service collects, staggered, never two of one at a time; and what is known of every run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

_FIRST_AFTER = 0.2  # s: the first cycle starts with the process, for nobody wants to wait 60 s for news
_STAGGER = 0.7  # s between the first runs of two services, so that their requests don't come in one burst


@dataclass(slots=True)
class Job:
    """What is known of one job."""

    id: str
    interval: float
    status: Literal["waiting", "running", "failed"] = "waiting"
    last_started: float | None = None
    """Unix seconds."""
    last_duration: float | None = None
    """Seconds."""
    failures: int = 0
    """Failed runs since the last one that did not fail."""


class Jobs:
    """The jobs of one worker process, on APScheduler."""

    def __init__(self, leads: Callable[[], bool] = lambda: True) -> None:
        """While not `leads()`, cycles are called, to know of it, but are no runs that anything is noted of."""
        self._leads = leads
        self.jobs: dict[str, Job] = {}
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._running: set[asyncio.Task[bool]] = set()
        self._stopping = False

    def add(self, service: str, interval: float, cycle: Callable[[], Coroutine[Any, Any, bool]]) -> Job:
        """Run `cycle` every `interval` seconds once started; it returns whether it succeeded.

        A cycle that still runs when the next is due makes that one skipped, not doubled.
        """
        job = Job(f"{service}_collection", interval)

        async def run() -> None:
            if not self._leads():
                await cycle()
                return
            before = job.status
            job.status, job.last_started = "running", time.time()
            began = time.monotonic()
            succeeded = False
            running = asyncio.ensure_future(cycle())
            self._running.add(running)
            try:
                # Waited for, not awaited: a cycle that `stop` cancels is no error that APScheduler should report.
                await asyncio.wait([running])
                succeeded = not running.cancelled() and running.result()
            finally:
                self._running.discard(running)
                if self._stopping and (running.cancelled() or not running.done()):
                    job.status = before  # cut short by us, which says nothing of the service
                else:
                    job.last_duration = time.monotonic() - began
                    job.status = "waiting" if succeeded else "failed"
                    job.failures = 0 if succeeded else job.failures + 1

        self._scheduler.add_job(
            run,
            IntervalTrigger(seconds=interval, timezone=UTC),
            id=job.id,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,  # late is better than not at all: figures are read when the job runs
        )
        self.jobs[service] = job
        return job

    def next_run(self, service: str) -> float | None:
        """Unix seconds of a service's next cycle, or None when nothing is planned."""
        planned = self._scheduler.get_job(self.jobs[service].id)
        moment = getattr(planned, "next_run_time", None)  # APScheduler's jobs have none before it is started
        return moment.timestamp() if moment is not None else None

    def start(self) -> None:
        """Start the clock; needs a running event loop."""
        # Only now: to make the services may take longer than that, and what is past is put off by an interval.
        now = datetime.now(UTC)
        for place, job in enumerate(self.jobs.values()):
            first = now + timedelta(seconds=_FIRST_AFTER + _STAGGER * place)
            trigger = IntervalTrigger(seconds=job.interval, start_date=first, timezone=UTC)
            self._scheduler.modify_job(job.id, trigger=trigger, next_run_time=first)
        self._scheduler.start()

    async def stop(self) -> None:
        """Plan nothing more, cancel the cycles that run, and wait for their end."""
        self._stopping = True
        self._scheduler.remove_all_jobs()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
