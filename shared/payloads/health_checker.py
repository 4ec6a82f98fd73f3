from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.payloads.fields import Payload, UtcTime

Health = Literal["healthy", "degraded", "unhealthy"]


class ProviderHealth(Struct, frozen=True, kw_only=True):
    """How one provider answered lately, to any process of the cluster."""

    status: Annotated[
        Health,
        Meta(
            description="healthy: its last call succeeded; degraded: it failed once or twice in a row, or the provider "
            "says that we ask too often; unhealthy: three calls in a row failed"
        ),
    ]
    response_time_ms: Annotated[float | None, Meta(description="of the last answer; null if there was none")]
    last_check: Annotated[UtcTime, Meta(description="when it was called last")]
    consecutive_failures: int
    error: Annotated[str | None, Meta(description="what the last call failed with; null if it succeeded")]


class HealthChecker(Payload, frozen=True, kw_only=True):
    """Health of every provider of every pool that was called lately, by a collector or by a light request for this."""

    overall_health: Annotated[
        Health,
        Meta(
            description="unhealthy: half of the providers or more are unhealthy, or all that a service asks; "
            "degraded: any provider is not healthy; else healthy"
        ),
    ]
    healthy_count: int
    degraded_count: int
    unhealthy_count: int
    total_providers: Annotated[int, Meta(description="the sum of the three")]
    providers: dict[str, ProviderHealth]
