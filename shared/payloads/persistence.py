from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from shared.payloads.fields import Payload, UtcTime


class Persistence(Payload, frozen=True, kw_only=True):
    """State of the recorder."""

    storage_location: Annotated[str, Meta(description="where updates are kept, without credentials")]
    total_records: int
    storage_size: Annotated[str, Meta(examples=["2.5 GB"])]
    last_save: UtcTime | None
    active_writers: int
