"""Service: the port that a worker runs, and the context that it gives to each service."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import structlog

from shared.bus import Bus
from shared.bus.reports import Reports
from shared.coins import KnownCoin
from shared.errors import SettingsError
from shared.metrics import WorkerMetrics, open_registry
from shared.payloads import Payload
from shared.settings import Settings
from workers.asking.client import source_label
from workers.asking.keys import key_of
from workers.asking.outages import Outages
from workers.asking.pool import Asking, SourcePool
from workers.asking.ports import ChainNode
from workers.asking.provider import Provider
from workers.providers import PROVIDERS, load_provider, provider_class

log = structlog.get_logger()

OnFailover = Callable[[str, str | None, str | None, str], None]
"""Called as (pool, source before, source now, reason) when a pool's active source changes; None means no source."""


Latest = Callable[[str, float], Payload | None]
"""Called as (service, seconds): the latest update of another service of this worker, if it is not older than that."""


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a worker passes to each service."""

    settings: Settings
    fetcher: Asking
    on_failover: OnFailover
    latest: Latest
    bus: Bus
    """To read what other workers publish."""
    reports: Reports
    """To read what other workers report."""
    clock: Callable[[], float] = time.monotonic
    """Measures deadlines and pauses."""
    wall_clock: Callable[[], float] = time.time
    """Unix seconds, for times that are compared with those of other processes."""
    chance: Callable[[], float] = random.random
    """0 ≤ x < 1, for the jitter of pauses."""
    outages: Outages = field(default_factory=Outages)
    """The sources that were logged as down."""
    metrics: WorkerMetrics = field(default_factory=lambda: WorkerMetrics(open_registry()))
    logs_unused: bool = True
    """Whether to log unused sources; not when services are made only to list their sources."""

    def __post_init__(self) -> None:
        """Raises SettingsError if DISABLED_SOURCES has a name that is no provider's, or a node's."""
        for name in self.settings.disabled_sources:
            if name not in PROVIDERS:
                raise SettingsError(f"DISABLED_SOURCES: there is no provider {name!r}")
            if hasattr(provider_class(name), ChainNode.identity.__name__):
                raise SettingsError(f"DISABLED_SOURCES: {name} is of nodes, which RPC_NODES chooses")

    def key_of(self, name: str) -> str | None:
        """The operator's key of provider `name`, None where there is none. LookupError for a name not in PROVIDERS."""
        return key_of(provider_class(name), self.settings)

    def provider(self, name: str) -> Any:
        """A new provider `name`, with the operator's key where there is one. See `load_provider`."""
        return load_provider(name, self.key_of(name))

    def pool(self, name: str, providers: Sequence[str]) -> SourcePool[Any]:
        """A pool of these providers in this order; those that need a key and have none are left out and logged."""
        unused = [other for other in providers if provider_class(other).needs_key and self.key_of(other) is None]
        if unused and self.logs_unused:
            write = log.info if self.settings.simulator_url is None else log.debug  # a simulator needs no keys
            write("sources without a key are not used", pool=name, sources=unused)
        return self.pool_of(name, [self.provider(other) for other in providers if other not in unused])

    def pool_of(self, name: str, members: Sequence[Provider]) -> SourcePool[Any]:
        """A pool of existing providers, without those that the operator has disabled."""
        return SourcePool(
            name,
            [member for member in members if member.name not in self.settings.disabled_sources],
            self.fetcher,
            on_failover=self.on_failover,
            clock=self.clock,
            chance=self.chance,
            outages=self.outages,
            on_refused=self.metrics.refuse,
        )

    def label(self, source: str) -> str:
        """A provider's name in payloads: with ` (simulated)` if the simulator answered for it."""
        return source_label(source, self.settings)


class Service(Protocol):
    """One service: asks its pools and makes its payload."""

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pools, for reports on them."""
        ...

    async def collect(self, now: float, deadline: float) -> Payload:
        """The payload of one cycle: `now` in unix seconds, done within `deadline` seconds.

        Raises NoSourceError if there is nothing to publish, and BusError if Redis can't count calls.
        """
        ...


class CoinKnowledge(NamedTuple):
    """The coins that a service knows, for the gateways."""

    coins: Sequence[KnownCoin]
    learned: bool
    """Whether an upstream has listed coins. Before that, another worker's list may be better."""


@runtime_checkable
class KnowsCoins(Protocol):
    """A service that knows coins. They are stored with its updates."""

    @property
    def known_coins(self) -> CoinKnowledge:
        """What it knows now; the same object while that is the same."""
        ...


@runtime_checkable
class Resuming(Protocol):
    """A service that continues exactly where its last published update ended, whichever worker published it."""

    @property
    def cursor(self) -> bytes:
        """What `resume` needs: the state as of the payload collected last. Stored with it, in the same Redis call."""
        ...

    def resume(self, cursor: bytes | None) -> None:
        """Restore the stored state, or start fresh for None. Called before the first cycle and after a failed one."""
        ...


@runtime_checkable
class Resident(Protocol):
    """A service that also works between its cycles."""

    async def run(self) -> None:
        """Work until cancelled. Called when this worker begins to lead, cancelled when it no longer does.

        An error that it raises ends the worker, so it handles every error it can recover from.
        """
        ...
