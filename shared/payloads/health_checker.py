from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.payloads.fields import Payload, UtcTime


class ProviderHealth(Struct, frozen=True, kw_only=True):
    """How one provider answered lately."""

    status: Literal["healthy", "degraded", "unhealthy"]
    response_time_ms: Annotated[float | None, Meta(description="of the last answer; null if there was none")]
    last_check: UtcTime


class HealthChecker(Payload, frozen=True, kw_only=True):
    """Health of every provider of every pool."""

    overall_health: Literal["healthy", "degraded", "unhealthy"]
    healthy_count: int
    unhealthy_count: int
    total_providers: int
    providers: dict[str, ProviderHealth]
