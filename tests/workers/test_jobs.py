"""When a worker's jobs run, and how they end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from shared.errors import BusError
from tests.shared.outage import Clock
from tests.waiting import until
from workers.jobs import Jobs


@asynccontextmanager
async def running(jobs: Jobs) -> AsyncIterator[asyncio.Task[None]]:
    """`jobs` as a worker runs them; at the end they have ended."""
    task = asyncio.create_task(jobs.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Cycles:
    """Cycles that succeed at once, unless told otherwise; and when they began, in seconds since the test did."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.outcomes: list[bool | Exception] = []
        self._began = time.monotonic()

    async def __call__(self) -> bool:
        self.at.append(time.monotonic() - self._began)
        outcome = self.outcomes.pop(0) if self.outcomes else True
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Stuck:
    """A cycle that lasts until it is cancelled."""

    def __init__(self) -> None:
        self.started, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> bool:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        return True


async def test_first_runs_are_staggered_and_soon() -> None:
    """Services without an update begin one after another, each within seconds; nobody waits an interval."""
    first, second, jobs = Cycles(), Cycles(), Jobs()
    jobs.add("market_data", 3600.0, first)
    jobs.add("news", 3600.0, second)
    jobs.plan()
    async with running(jobs):
        await until(lambda: bool(second.at), 5)
    assert len(first.at) == len(second.at) == 1
    assert 0.5 < second.at[0] - first.at[0] < 1.5


async def test_the_next_run_is_an_interval_after_the_last_update() -> None:
    """A successor keeps to the rhythm of its predecessor, and at once runs what is overdue, whatever else waits."""
    cycles = {name: Cycles() for name in ("overdue", "soon", "later", "never")}
    jobs = Jobs()
    for name, cycle in cycles.items():
        jobs.add(name, 60.0, cycle)
    jobs.plan({"overdue": 61.0, "soon": 59.5, "later": 10.0, "never": None})
    async with running(jobs):
        await until(lambda: bool(cycles["soon"].at), 5)
    assert cycles["overdue"].at[0] < 0.3
    assert 0.4 < cycles["soon"].at[0] < 1.0
    assert cycles["later"].at == []


async def test_nothing_runs_before_it_is_planned_or_while_another_worker_leads() -> None:
    """Jobs wait for a plan; what is due while this worker does not lead runs once it does."""
    leads, cycles = False, Cycles()
    jobs = Jobs(lambda: leads)
    jobs.add("news", 0.05, cycles)
    async with running(jobs):
        jobs.plan({"news": 1.0})
        until_then = time.monotonic() + 0.3
        await until(lambda: time.monotonic() > until_then)
        assert cycles.at == []
        leads = True
        await until(lambda: len(cycles.at) >= 3)


@pytest.mark.parametrize("jump", [-3600.0, 3600.0], ids=["back", "ahead"])
async def test_intervals_do_not_follow_a_clock_that_is_set(jump: float) -> None:
    """A wall clock that is set an hour back or ahead neither puts a run off nor brings it forward; it is reported."""
    clock, wall, cycles = Clock(), Clock(), Cycles()
    jobs = Jobs(clock=clock, wall_clock=wall)
    job = jobs.add("news", 60.0, cycles)
    jobs.plan({"news": 60.0})
    async with running(jobs):
        for runs in range(1, 4):
            await until(lambda: len(cycles.at) == runs and job.status == "waiting")  # noqa: B023
            assert jobs.next_run("news") == wall.now + 60.0
            assert job.last_started == wall.now
            wall.now += jump
            assert jobs.next_run("news") == wall.now + 60.0
            clock.now += 59.9
            jobs._changed.set()
            await until(lambda: not jobs._changed.is_set())
            assert len(cycles.at) == runs
            clock.now += 0.1
            jobs._changed.set()


async def test_a_cycle_that_takes_longer_than_its_interval_is_not_doubled() -> None:
    """While a job runs it is not started again; it runs again, once, as soon as it has ended."""
    jobs = Jobs()
    now, most, runs = 0, 0, 0
    go_on = asyncio.Event()

    async def cycle() -> bool:
        nonlocal now, most, runs
        now += 1
        runs += 1
        most = max(most, now)
        await go_on.wait()
        now -= 1
        return True

    job = jobs.add("news", 0.1, cycle)
    jobs.plan()
    async with running(jobs):
        await until(lambda: now == 1, 5)
        long_after = time.monotonic() + 0.5
        await until(lambda: time.monotonic() > long_after, 5)
        assert (runs, most, job.status) == (1, 1, "running")
        go_on.set()
        await until(lambda: runs >= 3, 5)
    assert most == 1
    assert job.failures == 0
    assert job.last_duration is not None


async def test_failed_runs_are_counted_until_one_succeeds() -> None:
    """`failures` counts runs since the last successful one."""
    jobs, cycles = Jobs(), Cycles()
    cycles.outcomes = [False, False, True, False]
    job = jobs.add("news", 0.05, cycles)
    jobs.plan()
    seen = []
    async with running(jobs):
        for runs in range(1, 5):
            await until(lambda: len(cycles.at) == runs and job.status != "running", 5)  # noqa: B023
            seen.append(job.failures)
    assert seen == [1, 2, 0, 1]


@pytest.mark.slow  # it waits for Redis
async def test_a_run_that_failed_for_want_of_redis_is_repeated_soon() -> None:
    """A service of a long interval need not wait for its next turn once Redis is back; then it keeps to its rhythm."""
    jobs, cycles = Jobs(), Cycles()
    cycles.outcomes = [BusError("away"), BusError("away")]
    job = jobs.add("news", 3600.0, cycles)
    jobs.plan()
    async with running(jobs):
        await until(lambda: len(cycles.at) == 3, 5)
        await until(lambda: job.status == "waiting", 5)
    assert 0.9 < cycles.at[1] - cycles.at[0] < 1.9
    assert job.due is not None
    assert job.due - time.monotonic() > 3590
    assert job.failures == 0


async def test_a_cycle_that_raises_is_logged_and_the_job_goes_on() -> None:
    """An unexpected error is logged with its traceback; the next cycle still runs."""
    jobs, cycles = Jobs(), Cycles()
    cycles.outcomes = [ZeroDivisionError("a bug")]
    jobs.add("news", 0.05, cycles)
    jobs.plan()
    with capture_logs() as logs:
        async with running(jobs):
            await until(lambda: len(cycles.at) >= 2, 5)
    (line,) = logs
    assert (line["event"], line["service"], line["exc_info"]) == ("a cycle failed", "news", True)


async def test_a_cycle_that_a_stop_cuts_short_is_no_failure() -> None:
    """It is cancelled and waited for, and says nothing of the service: state, failures and the last run stay."""
    jobs, stuck = Jobs(), Stuck()
    job = jobs.add("news", 60, stuck)
    jobs.plan()
    with capture_logs() as logs:
        async with running(jobs):
            await asyncio.wait_for(stuck.started.wait(), 5)
    assert stuck.ended.is_set()
    assert (job.status, job.failures, job.last_duration) == ("waiting", 0, None)
    assert logs == []
