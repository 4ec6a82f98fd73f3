"""A service, the simulator that it asks over real sockets, a real Redis, and a clock that tests move."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis

from shared.bus import Bus, open_redis
from shared.bus.budgets import Budgets
from shared.bus.reports import Reports
from shared.channels import Channels
from shared.payloads import Payload
from shared.settings import Settings
from simulator.app import Simulator
from simulator.faults import Fault, FaultName
from simulator.server import running
from simulator.world.clock import Clock
from tests.waiting import until
from workers.asking.client import open_client
from workers.asking.fetch import Fetcher
from workers.asking.ports import ChainNode
from workers.asking.provider import Ask, Provider, Request
from workers.providers import provider_class
from workers.services import load_service
from workers.services.service import Service, ServiceContext
from workers.worker import Worker

T = TypeVar("T")

NOON = 1_795_435_200.0
"""Unix seconds of 2026-11-23 12:00 UTC, when every stage begins."""

FAULTS: tuple[FaultName, ...] = (
    *("429", "429_no_retry_after", "429_html", "418", "500", "html", "truncated", "truncated_json", "wrong_types"),
    *("empty", "error_in_200", "refuse"),
)
"""All that must fail over at once; `hang` takes part of a cycle's time."""


def host_of(url: str) -> str:
    """The host of an address."""
    return urlsplit(url).hostname or ""


def hosts_of(provider: Provider) -> tuple[str, ...]:
    """Every host that a provider asks."""
    return tuple(map(host_of, (provider.base_url, *provider.other_urls)))


def is_node(name: str) -> bool:
    """Whether the provider `name` has one instance per node, at the node's address."""
    return hasattr(provider_class(name), ChainNode.identity.__name__)


@dataclass
class Stage:
    """What a test of a service needs."""

    simulator: Simulator
    settings: Settings
    fetcher: Fetcher
    redis: Redis
    now: float = NOON
    """Unix seconds, also the simulator's: time passes only where a test says so."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests by provider."""
    failovers: list[tuple[str, str | None, str | None, str]] = field(default_factory=list)
    latest: dict[str, Payload] = field(default_factory=dict)
    """What the other services published last."""
    service: Service = field(init=False)

    def context(self, **settings: Any) -> ServiceContext:
        """What `load_service` takes, with some settings changed."""
        return ServiceContext(
            settings=self.settings.model_copy(update=settings),
            fetcher=self,
            on_failover=lambda *told: self.failovers.append(told),
            latest=lambda name, seconds: self.latest.get(name),
            bus=Bus(self.redis, Channels(self.settings.redis_prefix), 1000),
            reports=Reports(self.redis, Channels(self.settings.redis_prefix)),
            clock=lambda: self.now,
            wall_clock=lambda: self.now,
            chance=lambda: 0.0,
        )

    def open(self, name: str, **settings: Any) -> Any:
        """A new service `name`, with no memory."""
        self.service = load_service(name, self.context(**settings))
        return self.service

    def asker(self, provider: Provider, seconds: float, *, reserve: int = 0) -> Ask:
        """As the fetcher's, counted."""
        inner = self.fetcher.asker(provider, seconds, reserve=reserve)

        async def ask(request: Request[T]) -> T:
            self.asked[provider.name] += 1
            host = host_of(request.base_url or provider.base_url)
            assert host in (*self.simulator.hosts, "127.0.0.1"), f"the simulator does not answer for {host}"
            return await inner(request)

        return ask

    def spoil(self, *hosts: str, fault: FaultName = "500") -> None:
        """Give these hosts a fault."""
        for host in hosts:
            self.simulator.faults.set(Fault.model_validate({"host": host, "fault": fault}))

    def heal(self, *hosts: str) -> None:
        """Clear the faults of these hosts."""
        for host in hosts:
            self.simulator.faults.clear(host)

    async def wait(self, seconds: float) -> None:
        """Let time pass, for the service and for the simulator."""
        self.now += seconds
        if seconds:
            # Budgets run on Redis's clock, for which no time has passed.
            budgets = [key async for key in self.redis.scan_iter(f"{self.settings.redis_prefix}:budget:*")]
            if budgets:
                await self.redis.delete(*budgets)

    def leave_behind(self, seconds: float) -> None:
        """Let time pass for the service only, so that figures of its sources are that much older."""
        self.now += seconds
        self.simulator.clock.advance(-seconds)

    async def collect(self, later: float = 0.0, deadline: float = 4.0) -> Any:
        """The payload of one cycle, `later` seconds after the one before."""
        await self.wait(later)
        return await self.service.collect(self.now, deadline)


@asynccontextmanager
async def open_stage(settings: Settings) -> AsyncIterator[Stage]:
    """A stage whose service is still to be opened."""
    stage: Stage | None = None
    simulator = Simulator(clock=Clock(lambda: stage.now if stage is not None else NOON))
    redis = open_redis(settings)
    async with running(simulator) as server:
        simulated = settings.model_copy(update={"simulator_url": server.url})
        async with open_client(simulated) as client:
            fetcher = Fetcher(client, Budgets(redis, Channels(settings.redis_prefix)))
            stage = Stage(simulator, simulated, fetcher, redis)
            yield stage
    await redis.aclose()


@asynccontextmanager
async def leading(stage: Stage, category: str) -> AsyncIterator[Worker]:
    """A worker that holds its lease; its jobs are not started."""
    worker = Worker(stage.settings.model_copy(update={"lease_seconds": 300.0}), category)
    holding = asyncio.create_task(worker.lease.hold())
    await until(lambda: worker.fence > 0, 5)
    yield worker
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    await worker.aclose()
