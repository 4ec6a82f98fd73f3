"""Worker: one process per category. It runs the services of its category while it holds their lease."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
import structlog

from shared.bus import Bus, LastPublish, Position, open_redis
from shared.bus.budgets import Budgets
from shared.bus.coin_list import CoinList
from shared.bus.lease import Lease
from shared.bus.reports import Reports
from shared.catalog import SERVICES, SYSTEM, of_category
from shared.channels import Channels
from shared.errors import BusError, FencedError, ProviderError, SettingsError
from shared.metrics import WorkerMetrics, open_registry
from shared.payloads import Payload, SystemNotice
from shared.settings import Settings
from shared.timestamps import iso
from workers.asking.client import open_client
from workers.asking.fetch import Fetcher
from workers.asking.jsonrpc import is_limited
from workers.asking.left_out import LeftOut
from workers.asking.outages import Outages
from workers.coin_keeper import CoinKeeper
from workers.collector import Collector
from workers.jobs import Jobs
from workers.reporter import Reporter
from workers.residents import Residents
from workers.services import load_service
from workers.services.service import KnowsCoins, Resident, Service, ServiceContext
from workers.status import Status
from workers.steady_clock import SteadyClock

log = structlog.get_logger()

_LOOK_AGAIN = 0.2  # s after Redis failed to say when services were published last, which is asked once per lease
_PENDING_NOTICES = 100  # notices kept while Redis is away; beyond that the oldest are dropped

NoticeEvent = Literal["source_failed_over", "service_stale", "service_recovered"]


class Worker:
    """The services of one category, their jobs and their lease."""

    def __init__(self, settings: Settings, name: str) -> None:
        """Construct all parts; starts nothing. Raises SettingsError if REDIS_URL can't be used."""
        self._settings = settings
        self._redis = open_redis(settings)
        channels = Channels(settings.redis_prefix)
        self._registry = open_registry()
        self._metrics = WorkerMetrics(self._registry)
        self._bus = Bus(
            self._redis,
            channels,
            settings.history_length,
            history_bytes=settings.history_bytes,
            replicas=settings.publish_replicas,
            on_unreplicated=lambda service: self._metrics.unreplicated.labels(service).inc(),
            held=lambda: self.lease.fence,
        )
        self.lease = Lease(self._redis, channels, name, settings.lease_seconds)
        self._client = open_client(settings)
        self._metrics.leading.set_function(lambda: float(bool(self.lease.fence)))
        self._notices: deque[SystemNotice] = deque(maxlen=_PENDING_NOTICES)
        self._publishing = asyncio.Lock()
        self._latest: dict[str, tuple[float, Payload]] = {}
        self._stop = asyncio.Event()
        self._led = 0
        """The fence for which the jobs are planned."""
        self.jobs = Jobs(lambda: self.lease.fence == self._led != 0)
        self._collectors: dict[str, Collector] = {}
        self._coins = CoinKeeper(CoinList(self._redis, channels))
        self._reports = Reports(self._redis, channels)
        self._clock = SteadyClock()
        self._reporter = Reporter(self._reports, name, self.lease.owner, self.jobs, self._clock)
        self._outages = Outages()
        self._services: list[Service] = []
        self._residents = Residents(lambda: bool(self.lease.fence))
        self._status = Status(self._registry, self._unready)
        fetcher = Fetcher(
            self._client, Budgets(self._redis, channels), self._clock, self._called, LeftOut(self._metrics)
        )
        for service in of_category(name):
            self.add(service, load_service(service, self._context(service, fetcher)))

    def _context(self, service: str, fetcher: Fetcher) -> ServiceContext:
        def on_failover(pool: str, before: str | None, after: str | None, reason: str) -> None:
            self._notice("source_failed_over", service, failover_text(pool, before, after, reason), after)
            if after is not None:
                self._reporter.failed_over(service)
                self._metrics.failovers.labels(service).inc()

        return ServiceContext(
            settings=self._settings,
            fetcher=fetcher,
            on_failover=on_failover,
            latest=self.latest,
            bus=self._bus,
            reports=self._reports,
            outages=self._outages,
            metrics=self._metrics,
            wall_clock=self._clock,
        )

    def _called(self, provider: str, seconds: float | None, error: ProviderError | None) -> None:
        self._reporter.called(provider, seconds, error)
        outcome = "success" if error is None else "limited" if is_limited(error) else "failure"
        self._metrics.calls.labels(provider, outcome).inc()
        if error is not None:
            self._metrics.refuse(error)

    def latest(self, name: str, seconds: float) -> Payload | None:
        """The last update of service `name`, if it was published at most `seconds` ago."""
        at, payload = self._latest.get(name, (0.0, None))
        return payload if time.monotonic() - at <= seconds else None

    def _moments_of(self, name: str) -> Mapping[str, str]:
        """The `as_of` of the service's last update, while this worker leads; called from other threads."""
        _, payload = self._latest.get(name, (0.0, None))
        return payload.as_of if payload is not None and self.lease.fence else {}

    def add(self, name: str, service: Service) -> None:
        """Run `service`, once started, as the one that the catalogue calls `name`."""
        self._metrics.expect(name)
        self._services.append(service)
        self._metrics.expect_providers(source.provider.name for pool in service.pools for source in pool.sources)
        self._metrics.watch_ages(name, lambda: self._moments_of(name))
        collector = self._collectors[name] = Collector(name, service, self, wall_clock=self._clock)
        self.jobs.add(name, SERVICES[name].interval, collector.cycle)
        self._reporter.add(name, service)
        if isinstance(service, KnowsCoins):
            self._coins.add(name, service)
        if isinstance(service, Resident):
            self._residents.add(name, service)

    def _notice(
        self, event: NoticeEvent, about: str, message: str, source: str | None = None, *, silent: float | None = None
    ) -> None:
        """`silent`: seconds since the last update of the service, where the notice is about that."""
        now = time.time()
        as_of = {about: iso(now - silent)} if silent is not None else {source: iso(now)} if source is not None else {}
        self._notices.append(
            SystemNotice(event=event, message=message, about=about, source=source, timestamp=iso(now), as_of=as_of)
        )

    def serve_status(self) -> None:
        """Answer `/health/...` and `/metrics`, if a port is set. Raises SettingsError if that is taken."""
        port = self._settings.worker_metrics_port
        if not port:
            return
        try:
            self._status.serve(self._settings.host, port)
        except OSError as error:
            raise SettingsError(f"WORKER_METRICS_PORT: can't listen on {port}: {error.strerror}") from None

    def _unready(self) -> list[str]:
        reasons = ["stopping"] if self._stop.is_set() else []
        return reasons if self.lease.known else [*reasons, "Redis does not say who holds the lease"]

    async def run(self) -> int:
        """Collect and publish until a signal or a death. Returns the exit status: 0 after a signal."""
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, self._stop.set)
        tasks = {
            "lease": asyncio.create_task(self.lease.hold()),
            "leading": asyncio.create_task(self._lead()),
            "jobs": asyncio.create_task(self.jobs.run()),
            "reporter": asyncio.create_task(self._reporter.run(lambda: bool(self.lease.fence))),
            "residents": asyncio.create_task(self._residents.run()),
            "status": asyncio.create_task(self._status.run()),
        }
        stopping = asyncio.create_task(self._stop.wait())
        log.info("worker started", lease=self.lease.name, jobs=len(self.jobs.jobs))
        await asyncio.wait([*tasks.values(), stopping], return_when=asyncio.FIRST_COMPLETED)
        died = [name for name, task in tasks.items() if task.done()]
        for name in died:
            log.critical("worker stops: a task of it died", task=name, exc_info=tasks[name].exception())
        # The lease after them: they end their work, and report that, while this worker still holds it.
        for name in ("leading", "jobs", "residents", "reporter", "lease", "status"):
            await _end(tasks[name])
            if name == "reporter":
                await self._say_stopped()
        await _end(stopping)
        await self.aclose()
        log.info("worker stopped", lease=self.lease.name)
        return 1 if died else 0

    async def _lead(self) -> None:
        """Whenever this worker begins to lead, plan its jobs by when each service was published last."""
        while True:
            fence = await self.lease.taken(self._led)
            try:
                found = await self._bus.last_publishes(tuple(self._collectors))
            except BusError:
                await asyncio.sleep(_LOOK_AGAIN)
                continue
            if self.lease.fence == fence:  # else the answer may have come after another worker's first publish
                self.jobs.plan({name: collector.lead(found.get(name)) for name, collector in self._collectors.items()})
                self._led = fence

    async def _say_stopped(self) -> None:
        if self.lease.fence:
            with contextlib.suppress(BusError):  # then the lease expires, which shows the end too
                await self._reporter.report(stopped=True)

    async def aclose(self) -> None:
        """Give up calls that no cycle waits for, and close the connections."""
        await asyncio.to_thread(self._status.close)
        for pool in (pool for service in self._services for pool in service.pools):
            await pool.aclose()
        await self._client.aclose()
        await self._redis.aclose()

    # The Publisher that collectors use.

    @property
    def fence(self) -> int:
        """The fence to publish with, 0 while another worker leads."""
        return self.lease.fence

    async def publish(self, name: str, payload: Payload, fence: int, cursor: bytes | None = None) -> Position:
        """Put an update on the bus; refused if a newer holder of the lease has published. Raises BusError."""
        with self._fenced(fence):
            position = await self._bus.publish(name, msgspec.to_builtins(payload), fence=fence, cursor=cursor)
        self._latest[name] = time.monotonic(), payload
        self._metrics.published.labels(name).inc()
        self._metrics.last_update.labels(name).set_to_current_time()
        await self._coins.store(name, fence)
        return position

    async def last_publish(self, name: str) -> LastPublish | None:
        """The newest update of service `name`, from any worker; None before the first. Raises BusError."""
        return (await self._bus.last_publishes((name,))).get(name)

    async def cursor_of(self, name: str, fence: int) -> bytes | None:
        """The cursor of the last update of service `name`. It stops holders before `fence`. Raises BusError."""
        with self._fenced(fence):
            return await self._bus.cursor_of(name, fence)

    @contextlib.contextmanager
    def _fenced(self, fence: int) -> Iterator[None]:
        """What is refused because of a newer fence ends this lease, also if nobody else holds it."""
        try:
            yield
        except FencedError:
            self.lease.refused(fence)
            raise

    async def publish_notices(self) -> None:
        """Publish this cycle's notices on the `system` channel; without Redis they are kept for the next cycle."""
        async with self._publishing:  # the cycles of two services may end at the same moment
            while self._notices:
                notice = self._notices.popleft()
                try:
                    # No fence: workers of all categories publish here.
                    await self._bus.publish(SYSTEM, msgspec.to_builtins(notice))
                except BusError:
                    if len(self._notices) < _PENDING_NOTICES:  # else newer ones have taken its place
                        self._notices.appendleft(notice)
                    return

    def failed(self, name: str, reason: str) -> None:
        """Count a cycle that published nothing."""
        self._metrics.failed.labels(name, reason).inc()

    def tell_stale(self, name: str, seconds: float) -> None:
        """Log and publish once that a service has had no update for `seconds`."""
        log.warning("service stale", service=name, seconds=round(seconds))
        self._notice("service_stale", name, f"{name} has had no update for {seconds:.0f} s", silent=seconds)

    def tell_recovered(self, name: str, seconds: float) -> None:
        """Log and publish that a stale service has an update again."""
        log.info("service recovered", service=name, after_seconds=round(seconds))
        self._notice("service_recovered", name, f"{name} has updates again after {seconds:.0f} s", silent=0.0)


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def failover_text(pool: str, before: str | None, after: str | None, reason: str) -> str:
    """The `system` message when a pool's active source changes; None means no source. See SourcePool for `reason`."""
    if before is None:
        return f"{pool}: {reason}"
    if after is None:
        return f"{pool}: {before} failed and no other source answers: {reason}"
    return f"{pool}: {before} gave way to {after}: {reason}"
