"""Jobs: when each service collects. Intervals are measured by a clock that nobody sets; wall time is only reported."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from math import floor
from typing import Any, Literal

import structlog

from shared.errors import BusError

log = structlog.get_logger()

_FIRST_AFTER = 0.2  # s: the first cycle starts with the process, so that news need not wait 60 s
_STAGGER = 0.7  # s between the first runs of two services, to spread their requests
_OVERDUE_STAGGER = 0.2  # s between the runs of two overdue services: clients wait for them, so less than `_STAGGER`
_AGAIN = 1.0  # s after a run that failed for want of Redis; it costs a command or a refused connection
_LOOK = 0.1  # s between two checks whether this worker leads, while a job is due and it does not

Cycle = Callable[[], Coroutine[Any, Any, bool]]
"""Returns whether the run succeeded. Raises BusError if Redis failed: it is run again soon."""


@dataclass(slots=True)
class Job:
    """The state of one job."""

    id: str
    interval: float
    cycle: Cycle = field(repr=False)
    due: float | None = None
    """When it runs next, by the clock of `Jobs`; None while nothing is planned."""
    status: Literal["waiting", "running", "failed"] = "waiting"
    last_started: float | None = None
    """Unix seconds."""
    last_duration: float | None = None
    """Seconds."""
    failures: int = 0
    """Failed runs since the last one that did not fail."""


class Jobs:
    """The jobs of one worker process. `run` is the one task that owns their runs; runs of one job never overlap."""

    def __init__(
        self,
        leads: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """While `leads()` is false, nothing runs. `clock` measures intervals; `wall_clock` gives unix seconds."""
        self._leads = leads
        self._clock = clock
        self._wall_clock = wall_clock
        self.jobs: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def add(self, service: str, interval: float, cycle: Cycle) -> Job:
        """Run `cycle` every `interval` seconds, once its first run is planned by `plan`."""
        job = self.jobs[service] = Job(f"{service}_collection", interval, cycle)
        return job

    def plan(self, ages: Mapping[str, float | None] | None = None) -> None:
        """Plan the next run of each job: an interval after the service's last update, which is `ages` seconds old.

        What is overdue runs now. A service without an update has its first run soon, staggered.
        """
        now, overdue = self._clock(), 0
        for place, (service, job) in enumerate(self.jobs.items()):
            age = (ages or {}).get(service)
            if age is None:
                job.due = now + _FIRST_AFTER + _STAGGER * place
            elif age >= job.interval:
                job.due = now + _OVERDUE_STAGGER * overdue
                overdue += 1
            else:
                job.due = now + job.interval - max(0.0, age)
        self._changed.set()

    def next_run(self, service: str) -> float | None:
        """Unix seconds of a service's next run, or None if nothing is planned."""
        due = self.jobs[service].due
        return None if due is None else self._wall_clock() + max(0.0, due - self._clock())

    async def run(self) -> None:
        """Run what is due until cancelled; then cancel the runs under way and wait for them to end."""
        try:
            while True:
                self._changed.clear()
                pause = self._start_due()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._changed.wait()
        finally:
            running = list(self._running.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _start_due(self) -> float | None:
        """Start what is due. Returns the seconds until the next job is due, or None if nothing is planned."""
        now, leads = self._clock(), self._leads()
        pauses = []
        for service, job in self.jobs.items():
            if job.due is None or service in self._running:
                continue  # a run that ends wakes us, and one that became due meanwhile starts then
            if job.due <= now and leads:
                # Runs that were missed are one run; the next one keeps to the rhythm.
                job.due += job.interval * (floor((now - job.due) / job.interval) + 1)
                self._running[service] = asyncio.create_task(self._run(service, job), name=job.id)
            else:
                pauses.append(max(job.due - now, 0.0 if leads else _LOOK))
        return min(pauses, default=None)

    async def _run(self, service: str, job: Job) -> None:
        before, began = job.status, self._clock()
        job.status, job.last_started = "running", self._wall_clock()
        succeeded = False
        try:
            succeeded = await job.cycle()
        except asyncio.CancelledError:
            job.status = before  # this worker stops, so the run is no sign of how the service is
            raise
        except BusError:
            if job.due is not None:
                job.due = min(job.due, self._clock() + _AGAIN)
        except Exception:
            log.exception("a cycle failed", service=service)
        finally:
            self._running.pop(service)
            self._changed.set()
        job.last_duration = self._clock() - began
        job.status = "waiting" if succeeded else "failed"
        job.failures = 0 if succeeded else job.failures + 1
