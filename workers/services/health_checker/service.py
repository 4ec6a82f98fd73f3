"""health_checker: the health of every provider, from the calls of all workers and from its own probes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from shared.bus.reports import CallReport
from shared.errors import NoSourceError
from shared.payloads import HealthChecker
from shared.payloads.health_checker import Health, ProviderHealth
from shared.timestamps import iso
from workers.asking.pool import SourcePool
from workers.services import sources_of
from workers.services.health_checker.probing import Prober
from workers.services.service import Service, ServiceContext

UNHEALTHY_AFTER = 3
"""Failed calls in a row, of the whole cluster, from which a provider is unhealthy: one or two may be a coincidence."""


class HealthCheckerService(Service):
    """Reads the calls that workers report; between cycles its prober makes calls of its own."""

    pools: tuple[SourcePool[Any], ...] = ()

    def __init__(self, context: ServiceContext) -> None:
        """Nothing is asked yet. Raises SettingsError if a service can't be constructed with these settings."""
        self._reports = context.reports
        sources = sources_of(context)
        providers = {provider.name: provider for members in sources.values() for provider in members}
        self._services = {name: [provider.name for provider in members] for name, members in sources.items()}
        self.prober = Prober(providers.values(), context.fetcher, context.reports, context.clock, context.wall_clock)

    async def run(self) -> None:
        """See Resident."""
        await self.prober.run()

    async def collect(self, now: float, deadline: float) -> HealthChecker:
        """See Service. Raises NoSourceError while no call of any provider is known, and BusError.

        Providers that were never called, or that these settings don't use, are left out.
        """
        calls = await self._reports.calls()
        providers = {
            name: provider_health(calls[name])
            for name, plan in self.prober.plans.items()
            if name in calls and plan.believes(calls[name], self.prober.silence(name, calls[name]))
        }
        if not providers:
            raise NoSourceError("health_checker", [])
        statuses = {name: provider.status for name, provider in providers.items()}
        count = list(statuses.values()).count
        return HealthChecker(
            overall_health=overall_health(statuses, self._services),
            healthy_count=count("healthy"),
            degraded_count=count("degraded"),
            unhealthy_count=count("unhealthy"),
            total_providers=len(providers),
            providers=providers,
            as_of={name: provider.last_check for name, provider in providers.items()},
            timestamp=iso(now),
        )


def provider_health(report: CallReport) -> ProviderHealth:
    """The health of a provider according to its last call."""
    return ProviderHealth(
        status=status_of(report),
        response_time_ms=report.milliseconds,
        last_check=iso(report.at),
        consecutive_failures=report.failures,
        error=report.error,
    )


def status_of(report: CallReport) -> Health:
    """The rule that the payload's description states."""
    if report.error is None:
        return "healthy"
    return "unhealthy" if report.failures >= UNHEALTHY_AFTER and not report.limited else "degraded"


def overall_health(statuses: Mapping[str, Health], services: Mapping[str, Collection[str]]) -> Health:
    """The rule that the payload's description states, from the providers that were called and each service's providers.

    A provider without a call so far may be healthy, so its service does not count as lost.
    """
    unhealthy = [name for name, status in statuses.items() if status == "unhealthy"]
    given_up = any(names and all(name in unhealthy for name in names) for names in services.values())
    if given_up or 2 * len(unhealthy) >= len(statuses):
        return "unhealthy"
    return "degraded" if any(status != "healthy" for status in statuses.values()) else "healthy"
