from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.payloads.fields import Payload, UtcTime


class JobState(Struct, frozen=True, kw_only=True):
    """One collection job of one worker."""

    id: Annotated[str, Meta(examples=["market_data_collection"])]
    service: str
    category: Annotated[str, Meta(description="category of the worker that runs it")]
    interval_seconds: float
    next_run: Annotated[UtcTime | None, Meta(description="null if no worker runs it")]
    last_run: Annotated[UtcTime | None, Meta(description="when it began last; null if it never did")]
    last_duration_seconds: Annotated[float | None, Meta(description="of the last run that ended")]
    status: Annotated[
        Literal["running", "waiting", "failed", "stopped", "lost"],
        Meta(
            description="running now; waiting for its next run; failed: the last run did, the next is planned; "
            "stopped: its worker was shut down; lost: its worker died, and its lease has run out"
        ),
    ]
    consecutive_failures: int


class Scheduler(Payload, frozen=True, kw_only=True):
    """Jobs of all workers."""

    running: Annotated[bool, Meta(description="whether any worker runs jobs")]
    total_jobs: int
    active_jobs: Annotated[int, Meta(description="jobs that run at this moment")]
    jobs: list[JobState]
