"""The bodies of HTTP answers.

API clients that are generated from `/openapi.json` name their types after these. One type per service, told apart by
`service`, lets such a client write `snapshot.data.prices` after a look at `snapshot.service`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import new_class
from typing import Annotated, Any, Generic, Literal, TypeVar, Union, get_origin

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.messages.fields import ClientId, Closed, Count, CountByService, Epoch, KnownFilters, Seq, Subscriptions
from shared.catalog import CHANNEL_NAMES, SERVICES
from shared.payloads import SystemNotice
from shared.payloads.fields import CoinId, UtcTime

T = TypeVar("T")

HttpCode = Literal[
    "invalid_service",
    "invalid_parameter",
    "unknown_parameter",
    "invalid_filter",
    "ambiguous_coin",
    "unknown_coin",
    "not_acceptable",
    "no_update",
    "not_ready",
    "busy",
    "one_at_a_time",
    "unavailable",
]


class Success(Closed, Generic[T], frozen=True, kw_only=True):
    """An answer."""

    status: Literal["success"]
    data: T
    timestamp: UtcTime


class FailureData(Closed, frozen=True, kw_only=True):
    """What went wrong, and what helps."""

    message: Annotated[str, Meta(description="for people")]
    code: Annotated[
        HttpCode | UnsetType,
        Meta(description="for programs: always present under `/api/v1`, and with 503 of `/ws/stats`"),
    ] = UNSET
    available_services: Annotated[list[str] | UnsetType, Meta(description="with `invalid_service`")] = UNSET
    known_parameters: Annotated[
        list[str] | UnsetType, Meta(description="with `unknown_parameter`: what this route takes")
    ] = UNSET
    service: Annotated[str | UnsetType, Meta(description="with `invalid_filter`: which service does not know it")] = (
        UNSET
    )
    known: KnownFilters | UnsetType = UNSET
    ids: Annotated[
        list[str] | UnsetType,
        Meta(description="the coins that share a symbol, with `ambiguous_coin` and in `invalid_filter`"),
    ] = UNSET
    fields: Annotated[
        list[str] | UnsetType, Meta(description="with `invalid_filter`: the fields that `data` of `service` has")
    ] = UNSET
    available_endpoints: Annotated[
        list[str] | UnsetType, Meta(description="where a WebSocket handshake named none of them")
    ] = UNSET
    documentation: Annotated[str | UnsetType, Meta(description="the path of a page that explains more")] = UNSET


class Failure(Closed, frozen=True, kw_only=True):
    """An error."""

    status: Literal["error"]
    data: FailureData
    timestamp: UtcTime


class Client(Closed, frozen=True, kw_only=True):
    """One connection, on whichever gateway."""

    client_id: ClientId
    connected_at: UtcTime
    last_activity: Annotated[UtcTime, Meta(description="when the last message from the client arrived")]
    subscriptions: Subscriptions


class Stats(Closed, frozen=True, kw_only=True):
    """Connections and subscriptions of the whole cluster."""

    total_connections: Count
    clients: Annotated[list[Client], Meta(description="one page of them, oldest first")]
    subscription_counts: CountByService
    next_cursor: Annotated[str | UnsetType, Meta(description="`cursor` of the next page; absent on the last")] = UNSET


class CatalogueEntry(Closed, frozen=True, kw_only=True):
    """One service."""

    name: Annotated[str, Meta(examples=["Market Data"])]
    description: str
    update_interval: Annotated[str, Meta(examples=["5 seconds"])]
    endpoints: Annotated[list[str], Meta(examples=[["/ws/data", "/ws/market_data"]])]
    filters: Annotated[
        list[str], Meta(description="what `filter` of a subscribe may have", examples=[["coins", "fields"]])
    ]


class Catalogue(Closed, frozen=True, kw_only=True):
    """Every service, and the endpoints that do not belong to one category."""

    services: Annotated[dict[str, dict[str, CatalogueEntry]], Meta(description="by category, then by name")]
    master_endpoints: Annotated[dict[str, str], Meta(description="path to description")]


class EndpointList(Closed, frozen=True, kw_only=True):
    """Every WebSocket path with a line of description."""

    master_endpoints: dict[str, str]
    data_collection_endpoints: dict[str, str]
    monitoring_endpoints: dict[str, str]
    integration_endpoints: dict[str, str]


class Live(Closed, frozen=True, kw_only=True):
    """The process runs."""

    status: Literal["live"]


class Readiness(Closed, frozen=True, kw_only=True):
    """Whether this gateway accepts new clients."""

    status: Literal["ready", "not ready"]
    reasons: Annotated[list[str], Meta(description="why not; empty when ready")]


class CoinEntry(Closed, frozen=True, kw_only=True):
    """One published coin. What nobody knows yet is null."""

    id: CoinId
    symbol: Annotated[str | None, Meta(examples=["BTC"])]
    name: Annotated[str | None, Meta(examples=["Bitcoin"])]
    rank: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="place by market value among the published coins, from 1")
    ]
    ambiguous: Annotated[
        bool, Meta(description="whether another coin that is known has this symbol: then only the id names it")
    ]
    price: Annotated[float | None, Meta(description="USD for one coin; the last one that this gateway has heard of")]
    price_at: Annotated[UtcTime | None, Meta(description="when the update with that price was published")]
    age_seconds: Annotated[
        Annotated[float, Meta(ge=0)] | None, Meta(description="from `price_at` to the `timestamp` of this answer")
    ]


class CoinListing(Closed, frozen=True, kw_only=True):
    """All published coins, the largest market value first."""

    coins: list[CoinEntry]


class SnapshotMeta(Closed, frozen=True, kw_only=True):
    """Where the update stands among those of its service; `since` of a subscribe takes it."""

    epoch: Epoch
    seq: Seq
    published_at: UtcTime


class Snapshot(Closed, Generic[T], frozen=True, kw_only=True):
    """The newest update, as WebSocket clients receive it."""

    type: Literal["update"]
    data: T
    timestamp: UtcTime
    meta: SnapshotMeta


class HistoryRecord(Closed, Generic[T], frozen=True, kw_only=True):
    """One update as it was published. `epoch` and `seq` identify it for ever."""

    epoch: Epoch
    seq: Seq
    published_at: UtcTime
    data: T


class HistoryLimits(Closed, frozen=True, kw_only=True):
    """What may be asked for, and how long updates are kept."""

    default_limit: Annotated[int, Meta(description="records per page unless `limit` is given", ge=1)]
    largest_limit: Annotated[int, Meta(description="records per page at most", ge=1)]
    page_bytes: Annotated[int, Meta(description="of `data` after which a page ends early, with `next_cursor`", ge=1)]
    retention_days: Annotated[float, Meta(description="how long updates of this service are kept", gt=0)]


class History(Closed, Generic[T], frozen=True, kw_only=True, rename={"first": "from", "last": "to"}):
    """One page: what was published from `from` to `to` (both inclusive), oldest first."""

    first: UtcTime
    last: UtcTime
    limit: Annotated[int, Meta(description="as asked for, or the default", ge=1)]
    records: list[T]
    limits: HistoryLimits
    next_cursor: Annotated[
        str | UnsetType, Meta(description="`cursor` of the next page; absent where this one ends the range")
    ] = UNSET


Price = Annotated[float, Meta(description="USD", gt=0)]


class Candle(Closed, frozen=True, kw_only=True):
    """What the price of a coin did within one interval, as far as it was recorded."""

    open_time: Annotated[UtcTime, Meta(description="a multiple of the interval, in UTC")]
    open: Price
    high: Price
    low: Price
    close: Price
    samples: Annotated[int, Meta(description="recorded prices that it is made of", ge=1)]
    complete: Annotated[bool, Meta(description="whether a later update is recorded; false while the interval runs")]


class CandleLimits(Closed, frozen=True, kw_only=True):
    """What may be asked for, and how long candles are kept."""

    default_limit: Annotated[int, Meta(description="candles per page unless `limit` is given", ge=1)]
    largest_limit: Annotated[int, Meta(description="candles per page at most", ge=1)]
    retention_days: Annotated[float, Meta(description="how long candles of this interval are kept", gt=0)]


class Candles(Closed, frozen=True, kw_only=True, rename={"first": "from", "last": "to"}):
    """One page: candles that open from `from` to `to` (both inclusive), oldest first. None is made up: a minute without
    a recorded price is absent."""

    coin: CoinId
    interval: Annotated[str, Meta(examples=["1m"])]
    first: UtcTime
    last: UtcTime
    limit: Annotated[int, Meta(description="as asked for, or the default", ge=1)]
    sampled_every_seconds: Annotated[
        float, Meta(description="prices are samples: what happened between two of them is not in a candle", gt=0)
    ]
    candles: list[Candle]
    limits: CandleLimits
    next_cursor: Annotated[
        str | UnsetType, Meta(description="`cursor` of the next page; absent where this one ends the range")
    ] = UNSET


PAYLOADS: dict[str, type[Struct]] = {
    name: SERVICES[name].payload if name in SERVICES else SystemNotice for name in CHANNEL_NAMES
}
"""What `data` of an update is, by channel."""


def _named(name: str, shape: Any, **config: Any) -> Any:
    """A generic type with its parameter, as a type of this name."""

    def described(namespace: dict[str, Any]) -> None:
        namespace["__doc__"] = get_origin(shape).__doc__

    return new_class(name, (shape,), {"frozen": True, "kw_only": True, **config}, described)


def _one_per_service(name: str, shape_of: Callable[[type[Struct]], Any]) -> dict[str, Any]:
    """A type per channel, which its first key `service` tells from the others."""
    return {
        service: _named(f"{payload.__name__}{name}", shape_of(payload), tag_field="service", tag=service)
        for service, payload in PAYLOADS.items()
    }


def any_of(types: dict[str, Any]) -> Any:
    """One of `types`, told apart by `service`."""
    return Union[tuple(types.values())]  # noqa: UP007  (made at run time)


def success(name: str, data: Any) -> Any:
    """The type of an answer that carries `data`."""
    return _named(f"{name}Answer", Success[data])


SNAPSHOTS = _one_per_service("Snapshot", lambda payload: Snapshot[payload])  # type: ignore[valid-type]
HISTORIES = _one_per_service(
    "History",
    lambda payload: History[_named(f"{payload.__name__}Record", HistoryRecord[payload])],  # type: ignore
)
