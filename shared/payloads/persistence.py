from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from shared.payloads.fields import Payload, UtcTime


class Persistence(Payload, frozen=True, kw_only=True):
    """State of the recorder, which stores every update in a database."""

    storage_location: Annotated[str, Meta(description="address of the database, without credentials")]
    total_records: Annotated[int, Meta(description="updates in the database")]
    records_by_service: dict[str, int]
    storage_size: Annotated[str, Meta(examples=["2.5 GB"])]
    storage_bytes: int
    last_save: Annotated[UtcTime | None, Meta(description="of the last commit; null if this database has none yet")]
    active_writers: Annotated[int, Meta(description="recorders that write now: 1, or 0 while the database fails")]
    unrecorded: Annotated[
        int,
        Meta(description="updates that had left the bus before a recorder read them, since the database began"),
    ]
