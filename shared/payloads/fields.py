"""Types that several payloads share. Their descriptions become the schema that `/docs` shows."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from shared.payloads.filtering import Again, Rule

UtcTime = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        description="UTC, ISO 8601 with milliseconds",
        examples=["2025-11-11T10:30:00.000Z"],
    ),
]
CoinId = Annotated[str, Meta(description="CoinGecko id, such as `bitcoin`")]

SIMULATED = " (simulated)"
"""What follows the name of a source in a payload if the simulator answered for it."""


class Payload(Struct, frozen=True, kw_only=True):
    """What every service's `data` has in common."""

    filters: ClassVar[tuple[Rule, ...]] = ()
    """What clients may filter it by, besides `fields`."""
    again: ClassVar[tuple[Again, ...]] = ()
    """What is counted again where a filter has left rows out."""

    timestamp: Annotated[UtcTime, Meta(description="when these figures were put together (UTC)")]
    as_of: Annotated[
        dict[str, UtcTime],
        Meta(
            description="by source, named as in `source` or `sources`: the moment of what it said. That is the "
            "source's own time if it gives a plausible one, otherwise the time at which it was asked; of several "
            "figures, that of the oldest one"
        ),
    ] = {}
    """Has a default because updates of older versions, which the streams and the database may still hold, lack it."""
