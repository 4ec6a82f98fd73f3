from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.payloads.fields import Payload, UtcTime


class JobState(Struct, frozen=True, kw_only=True):
    """One collection job of one worker."""

    id: Annotated[str, Meta(examples=["market_data_collection"])]
    next_run: UtcTime | None
    status: Literal["running", "waiting", "failed", "lost"]


class Scheduler(Payload, frozen=True, kw_only=True):
    """Jobs of all workers."""

    running: Annotated[bool, Meta(description="whether any worker runs jobs")]
    total_jobs: int
    active_jobs: Annotated[int, Meta(description="jobs that run at this moment")]
    jobs: list[JobState]
