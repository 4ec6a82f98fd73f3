"""Reporter: writes this worker's jobs, pools and calls to Redis, for the monitoring services."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from shared.bus.reports import CallReport, JobReport, JobsReport, PoolReport, PoolsReport, Reports, SourceReport
from shared.errors import BusError, ProviderError, UnconfirmedError
from shared.outage import Outage
from workers.asking.jsonrpc import is_limited
from workers.asking.pool import SourcePool
from workers.jobs import Jobs
from workers.services.service import Service

_PAUSE = 1.0  # s between two reports: shorter runs may go unseen; costs Redis one call per second


class Reporter:
    """The report of one worker: collected until it is written, and dropped while another worker leads."""

    def __init__(
        self, reports: Reports, category: str, worker: str, jobs: Jobs, clock: Callable[[], float] = time.time
    ) -> None:
        """`worker` is the owner of the category's lease while this worker leads."""
        self._reports = reports
        self._category = category
        self._worker = worker
        self._jobs = jobs
        self._clock = clock
        self._services: dict[str, Service] = {}
        self._calls: dict[str, CallReport] = {}
        self._seconds: dict[str, float] = {}
        self._failed: Counter[str] = Counter()
        self._failovers: Counter[str] = Counter()

    def add(self, name: str, service: Service) -> None:
        """Include the pools of `service` in reports from now on."""
        self._services[name] = service

    def called(self, provider: str, seconds: float | None, error: ProviderError | None) -> None:
        """Note the outcome of a call of `provider`, and the seconds until its answer; None without an answer."""
        if seconds is not None:
            self._seconds[provider] = seconds
        last = self._seconds.get(provider)
        self._calls[provider] = CallReport(
            at=self._clock(),
            milliseconds=None if last is None else round(last * 1000, 1),
            error=None if error is None else _said(error),
            limited=error is not None and is_limited(error),
        )
        if error is None:
            self._failed[provider] = -1
        elif self._failed[provider] < 0:
            self._failed[provider] -= 1
        else:
            self._failed[provider] += 1

    def failed_over(self, service: str) -> None:
        """Count a failover of one of the service's pools."""
        self._failovers[service] += 1

    async def run(self, leads: Callable[[], bool]) -> None:
        """Report while `leads()`, until cancelled. A report that fails is repeated with the next one.

        When this worker stops leading, unreported calls are dropped: the next leader has newer ones.
        """
        redis = Outage("reports are not written", "reports are written again")
        while True:
            if leads():
                try:
                    await self._report_whole()
                    redis.back()
                except BusError as error:
                    redis.lost(error)
            else:
                self._calls.clear()
                self._failed.clear()
                self._reports.stop_leading()
            await asyncio.sleep(_PAUSE)

    async def _report_whole(self) -> None:
        """Report, and only then be cancelled: Redis may or may not have counted an interrupted report."""
        reporting = asyncio.create_task(self.report())
        try:
            await asyncio.shield(reporting)
        except asyncio.CancelledError:
            await asyncio.gather(reporting, return_exceptions=True)  # ends with its command's deadline at the latest
            raise

    async def report(self, *, stopped: bool = False) -> None:
        """Report now; with `stopped`, also that no more jobs run. On BusError the report is kept for the next one."""
        calls, self._calls = self._calls, {}
        failed, self._failed = self._failed, Counter()
        failovers, self._failovers = self._failovers, Counter()
        now = self._clock()
        try:
            await self._reports.write(
                calls=calls,
                failed=failed,
                pools={name: self._pools_of(service, now) for name, service in self._services.items()},
                failovers=failovers,
                jobs={self._category: JobsReport(worker=self._worker, at=now, jobs=self._job_reports(stopped))},
            )
        except UnconfirmedError:
            raise  # it is sent again with the next one
        except BusError:
            self._calls = {**calls, **self._calls}
            for provider, count in self._failed.items():
                # A success since then resets the count of failures.
                earlier = failed[provider]
                failed[provider] = count if count < 0 else earlier - count if earlier < 0 else earlier + count
            self._failed = failed
            self._failovers.update(failovers)
            raise

    def _pools_of(self, service: Service, now: float) -> PoolsReport:
        pools = tuple(_pool_report(pool) for pool in service.pools)
        return PoolsReport(worker=self._worker, category=self._category, at=now, pools=pools)

    def _job_reports(self, stopped: bool) -> tuple[JobReport, ...]:
        return tuple(
            JobReport(
                id=job.id,
                service=service,
                interval=job.interval,
                status="stopped" if stopped else job.status,
                next_run=None if stopped else self._jobs.next_run(service),
                last_run=job.last_started,
                last_duration=job.last_duration,
                failures=job.failures,
            )
            for service, job in self._jobs.jobs.items()
        )


def _pool_report(pool: SourcePool[Any]) -> PoolReport:
    available = set(pool.available)
    names = [source.provider.name for source in pool.sources]
    return PoolReport(
        name=pool.name,
        active=pool.active,
        sources=tuple(SourceReport(name=name, available=name in available) for name in names),
    )


def _said(error: ProviderError) -> str:
    return error.reason + (f" (field {error.field})" if error.field else "")
