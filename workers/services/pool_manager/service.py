"""pool_manager: the source pools of all services, as their workers report them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.bus.reports import PoolReport, PoolsReport
from shared.catalog import CATEGORIES, SERVICES
from shared.errors import NoSourceError
from shared.payloads import PoolManager
from shared.payloads.health_checker import Health
from shared.payloads.pool_manager import PoolState, SourcePoolState
from shared.timestamps import iso
from workers.asking.pool import SourcePool
from workers.services.service import Service, ServiceContext


class PoolManagerService(Service):
    """Merges the reports of all workers."""

    pools: tuple[SourcePool[Any], ...] = ()

    def __init__(self, context: ServiceContext) -> None:
        self._reports = context.reports

    async def collect(self, now: float, deadline: float) -> PoolManager:
        """See Service. Raises NoSourceError while no worker has reported a pool, and BusError."""
        reports = await self._reports.pools()
        calls = await self._reports.calls()
        failovers = await self._reports.failovers()
        leaders = await self._reports.leaders(CATEGORIES)
        failing = {name for name, call in calls.items() if call.failures}
        states = {
            name: state_of(
                reports[name],
                alive=leaders.get(reports[name].category) == reports[name].worker,
                failing=failing,
                failovers=failovers.get(name, 0),
            )
            for name in SERVICES
            if name in reports and any(pool.sources for pool in reports[name].pools)
        }
        if not states:
            raise NoSourceError("pool_manager", [])
        active = _once(pool.active_source for state in states.values() for pool in state.pools.values())
        known = _once(source.name for name in states for pool in reports[name].pools for source in pool.sources)
        return PoolManager(
            pools=states,
            active_sources=active,
            inactive_sources=[name for name in known if name not in active],
            failover_count=sum(failovers.values()),
            as_of={name: iso(calls[name].at) for name in known if name in calls},
            timestamp=iso(now),
        )


def state_of(report: PoolsReport, *, alive: bool, failing: set[str], failovers: int) -> PoolState:
    """The state of a service's sources. `failing` are those whose last call failed, from any worker.

    If the service's worker is gone, no source is active.
    """
    pools = {pool.name: _pool_state(pool, alive, failing) for pool in report.pools if pool.sources}
    return PoolState(
        active_source=next((pool.active_source for pool in pools.values()), None),
        available_sources=_once(name for pool in pools.values() for name in pool.available_sources),
        health=health_of(pools, alive),
        failover_count=failovers,
        pools=pools,
    )


def health_of(pools: Mapping[str, SourcePoolState], alive: bool) -> Health:
    """The rule that the payload's description states."""
    main = next(iter(pools.values()))
    if not alive or not main.available_sources:
        return "unhealthy"
    return "degraded" if any(pool.unavailable_sources for pool in pools.values()) else "healthy"


def _pool_state(pool: PoolReport, alive: bool, failing: set[str]) -> SourcePoolState:
    # Use both: a pool that asks rarely has not seen the others' failures yet, and others may ask for something else.
    available = [source.name for source in pool.sources if source.available and source.name not in failing]
    return SourcePoolState(
        active_source=pool.active if alive else None,
        available_sources=available,
        unavailable_sources=[source.name for source in pool.sources if source.name not in available],
    )


def _once(names: Iterable[str | None]) -> list[str]:
    """Each name once, in order, without None."""
    return list(dict.fromkeys(name for name in names if name is not None))
