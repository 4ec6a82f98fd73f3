"""Jobs: when each service collects. First runs are staggered, runs of one service never overlap."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

_FIRST_AFTER = 0.2  # s: the first cycle starts with the process, so that news need not wait 60 s
_STAGGER = 0.7  # s between the first runs of two services, to spread their requests


@dataclass(slots=True)
class Job:
    """The state of one job."""

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
        """While `leads()` is false, cycles are called, so that they notice a change, but not counted as runs."""
        self._leads = leads
        self.jobs: dict[str, Job] = {}
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._running: set[asyncio.Task[bool]] = set()
        self._stopping = False

    def add(self, service: str, interval: float, cycle: Callable[[], Coroutine[Any, Any, bool]]) -> Job:
        """Run `cycle` every `interval` seconds once started; it returns whether it succeeded.

        If a cycle still runs when the next one is due, the next one is skipped.
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
                # Wait for it instead of awaiting it: APScheduler would report a cycle that `stop` cancels as an error.
                await asyncio.wait([running])
                succeeded = not running.cancelled() and running.result()
            finally:
                self._running.discard(running)
                if self._stopping and (running.cancelled() or not running.done()):
                    job.status = before  # `stop` cancelled it, so the run is no sign of how the service is
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
            misfire_grace_time=None,  # run late rather than not at all: figures are read when the job runs
        )
        self.jobs[service] = job
        return job

    def next_run(self, service: str) -> float | None:
        """Unix seconds of a service's next cycle, or None if nothing is planned."""
        planned = self._scheduler.get_job(self.jobs[service].id)
        moment = getattr(planned, "next_run_time", None)  # APScheduler's jobs have none before it is started
        return moment.timestamp() if moment is not None else None

    def start(self) -> None:
        """Start the clock; needs a running event loop."""
        # Start the clock only now: building the services can take longer than the first offset, and a run in the past
        # is postponed by a whole interval.
        now = datetime.now(UTC)
        for place, job in enumerate(self.jobs.values()):
            first = now + timedelta(seconds=_FIRST_AFTER + _STAGGER * place)
            trigger = IntervalTrigger(seconds=job.interval, start_date=first, timezone=UTC)
            self._scheduler.modify_job(job.id, trigger=trigger, next_run_time=first)
        self._scheduler.start()

    async def stop(self) -> None:
        """Plan no more runs, cancel those under way, and wait for them to end."""
        self._stopping = True
        self._scheduler.remove_all_jobs()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
