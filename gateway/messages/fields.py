"""Types that several messages share. Their descriptions become part of the API documents."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct, UnsetType

from gateway.endpoints import SUBSCRIBABLE

EXAMPLE_TIME = "2025-11-11T10:30:00.000Z"
EXAMPLE_CLIENT = "client_1_1762857000"  # connected at EXAMPLE_TIME

Count = Annotated[int, Meta(ge=0)]
CountByService = Annotated[dict[str, Count], Meta(description="by service; services without subscribers are left out")]
ClientId = Annotated[
    str, Meta(description="unique in the cluster", pattern=r"^client_\d+_\d+$", examples=[EXAMPLE_CLIENT])
]
ServiceName = Annotated[
    str, Meta(description="`all` is each of the twelve", extra_json_schema={"enum": list(SUBSCRIBABLE)})
]
ServiceNames = Annotated[
    ServiceName | Annotated[list[ServiceName], Meta(min_length=1)], Meta(description="one name, or a list of them")
]
Subscriptions = Annotated[list[str], Meta(description="all current subscriptions, sorted", examples=[["market_data"]])]
Asked = Annotated[str | list[str], Meta(description="`service` as the command had it")]
Deliver = Literal["latest", "every"]
DELIVERS: tuple[Deliver, ...] = get_args(Deliver)
CommandId = Annotated[str | int, Meta(description="echoed as `data.id` of the reply")]
EchoedId = Annotated[str | int | UnsetType, Meta(description="the `id` of the command that this answers")]
KnownFilters = Annotated[
    dict[str, str], Meta(description="with `invalid_filter`: the filters of `service`, with their types in words")
]
Epoch = Annotated[str, Meta(description="changes when counting restarts", examples=["5f2b9c81d04e7a63"])]
Seq = Annotated[int, Meta(description="+1 per update of a service within an epoch", ge=1)]


class Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message, or a part of one, whose fields are all documented."""
