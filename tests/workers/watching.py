"""Worker processes on a stage, reduced to calls: a fetcher, and a reporter that writes the calls to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.bus.budgets import Budgets
from shared.bus.reports import Reports
from shared.channels import Channels
from shared.errors import ProviderError
from shared.payloads import HealthChecker
from tests.workers.stage import Stage
from workers.asking.client import open_client
from workers.asking.fetch import Fetcher
from workers.asking.provider import Ask, Provider
from workers.jobs import Jobs
from workers.providers import load_provider
from workers.reporter import Reporter
from workers.services.health_checker.probing import Prober


class Worker:
    """One process. It writes its reports when a test asks for that."""

    def __init__(self, stage: Stage, name: str, fetcher: Fetcher, reporter: Reporter) -> None:
        self.stage = stage
        self.name = name
        self.fetcher = fetcher
        self.reporter = reporter
        self.prober: Prober

    def asker(self, provider: Provider, seconds: float, *, reserve: int = 0) -> Ask:
        """As this process asks; counted by the stage."""
        self.stage.fetcher = self.fetcher
        return self.stage.asker(provider, seconds, reserve=reserve)

    async def asks(self, name: str, times: int = 1) -> None:
        """Call a provider as a collector would, and report it."""
        provider = load_provider(name)
        for _ in range(times):
            try:
                await provider.probe(self.fetcher.asker(provider, 2.0))
            except ProviderError:
                continue
        await self.reporter.report()

    def probes(self, *names: str) -> Prober:
        """Have a prober of these providers in this process."""
        reports = self.stage.context().reports
        now = lambda: self.stage.now  # noqa: E731
        self.prober = Prober(map(load_provider, names), self, reports, now, now)
        return self.prober

    async def look(self, later: float = 0.0) -> None:
        """Let the prober look `later` seconds from now, and wait for what it began; reported afterwards."""
        self.stage.now += later
        async with asyncio.TaskGroup() as probes:
            await self.prober.look(probes)
        await self.reporter.report()

    async def opens_health_checker(self) -> None:
        """Have the service in this process."""
        self.stage.fetcher = self.fetcher
        self.prober = self.stage.open("health_checker").prober

    async def health(self) -> HealthChecker:
        """What the service publishes now."""
        payload: HealthChecker = await self.stage.collect()
        return payload


@asynccontextmanager
async def open_worker(stage: Stage, name: str = "monitoring") -> AsyncIterator[Worker]:
    """A process called `name`."""
    channels = Channels(stage.settings.redis_prefix)
    reports = Reports(stage.redis, channels)
    reporter = Reporter(reports, name, name, Jobs(), lambda: stage.now)
    async with open_client(stage.settings) as client:
        fetcher = Fetcher(client, Budgets(stage.redis, channels), on_call=reporter.called)
        yield Worker(stage, name, fetcher, reporter)
