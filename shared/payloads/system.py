from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.payloads.fields import Payload


class SystemNotice(Payload, frozen=True, kw_only=True):
    """A notice about the cluster itself.

    `as_of` names the source that answers now, the service that is stale or has recovered with its last update, or
    `gateway`.
    """

    event: Literal["source_failed_over", "service_stale", "service_recovered", "updates_lost", "gateway_stopping"]
    message: Annotated[str, Meta(description="for people")]
    about: Annotated[str, Meta(description="the service concerned", examples=["market_data"])]
    source: Annotated[str | None, Meta(description="the source that answers now, after a failover")] = None


class Pulse(Struct, frozen=True, kw_only=True):
    """Where a service stands."""

    epoch: Annotated[str, Meta(description="of its newest update; empty before the first")]
    seq: Annotated[int, Meta(description="of its newest update; 0 before the first", ge=0)]
    age_seconds: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="since its newest update was published; null before")
    ]
    stale: Annotated[bool, Meta(description="no update for three intervals; never true of `system`")]


class Heartbeat(Payload, frozen=True, kw_only=True):
    """The positions up to which this gateway has sent updates. To subscribers of `system`, every 5 s.

    `as_of` has the moment at which each service's newest update was published.
    """

    event: Literal["heartbeat"]
    services: Annotated[dict[str, Pulse], Meta(description="by service, `system` included")]
