from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from shared.payloads.fields import Payload


class SystemNotice(Payload, frozen=True, kw_only=True):
    """A notice about the cluster itself."""

    event: Literal["source_failed_over", "service_stale", "service_recovered"]
    message: Annotated[str, Meta(description="for people")]
    about: Annotated[str, Meta(description="the service concerned", examples=["market_data"])]
    source: Annotated[str | None, Meta(description="the source that answers now, after a failover")] = None
