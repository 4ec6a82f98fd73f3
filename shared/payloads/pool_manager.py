from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.payloads.fields import Payload


class PoolState(Struct, frozen=True, kw_only=True):
    """The sources of one service."""

    active_source: Annotated[str | None, Meta(description="the source that answered last; null if none does")]
    available_sources: list[str]
    health: Literal["healthy", "degraded", "unhealthy"]


class PoolManager(Payload, frozen=True, kw_only=True):
    """Source pools and their failovers."""

    pools: Annotated[dict[str, PoolState], Meta(description="by service")]
    active_sources: list[str]
    inactive_sources: list[str]
    failover_count: Annotated[int, Meta(description="failovers in the whole cluster since it was set up")]
