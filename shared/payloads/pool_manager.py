from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.payloads.fields import Payload
from shared.payloads.health_checker import Health


class SourcePoolState(Struct, frozen=True, kw_only=True):
    """One pool of a service: sources that replace each other."""

    active_source: Annotated[str | None, Meta(description="the source that answered last; null if none does")]
    available_sources: Annotated[list[str], Meta(description="in the order in which they are tried")]
    unavailable_sources: Annotated[list[str], Meta(description="that failed last, and are tried again later")]


class PoolState(Struct, frozen=True, kw_only=True):
    """The sources of one service."""

    active_source: Annotated[str | None, Meta(description="of the service's first pool; null if none answers")]
    available_sources: Annotated[list[str], Meta(description="of all its pools, in the order in which they are tried")]
    health: Annotated[
        Health,
        Meta(
            description="healthy: every source is available; degraded: some are not; unhealthy: the first pool has "
            "none left, or the worker that asks them is gone"
        ),
    ]
    failover_count: Annotated[int, Meta(description="in the whole cluster, since it was set up")]
    pools: Annotated[dict[str, SourcePoolState], Meta(description="by name; most services have one")]


class PoolManager(Payload, frozen=True, kw_only=True):
    """Source pools and their failovers."""

    pools: Annotated[dict[str, PoolState], Meta(description="by service")]
    active_sources: Annotated[list[str], Meta(description="sources that some pool uses now, by name")]
    inactive_sources: Annotated[list[str], Meta(description="all others: standing by, or failed")]
    failover_count: Annotated[int, Meta(description="failovers in the whole cluster since it was set up")]
