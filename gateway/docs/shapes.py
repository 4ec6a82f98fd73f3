"""What the gateway itself says, as types: `data` of its notices, and the answers of its HTTP routes.

Closed (`forbid_unknown_fields`): a field that code adds and nobody documents fails the tests that validate real
messages.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.protocol import Action, ErrorCode
from shared.payloads.fields import UtcTime

T = TypeVar("T")
Count = Annotated[int, Meta(ge=0)]
EchoedId = Annotated[str | int | UnsetType, Meta(description="the `id` of the command that this answers")]
ClientId = Annotated[
    str, Meta(description="unique in the cluster", pattern=r"^client_\d+_\d+$", examples=["client_1_1731324000"])
]
Subscriptions = Annotated[list[str], Meta(description="what is subscribed now, sorted", examples=[["market_data"]])]
Asked = Annotated[str | list[str], Meta(description="`service` as the command had it")]


HttpCode = Literal["invalid_service", "invalid_parameter", "no_update", "not_ready", "busy", "unavailable"]
Epoch = Annotated[str, Meta(description="changes when counting starts anew", examples=["5f2b9c81d04e7a63"])]
Seq = Annotated[int, Meta(description="+1 per update of a service within an epoch", ge=1)]


class _Closed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every field is documented here."""


# `data` of notices.


class ConnectionEstablished(_Closed, frozen=True, kw_only=True):
    """First message of every connection."""

    client_id: ClientId
    connected_at: UtcTime
    message: str
    endpoint: Annotated[str, Meta(description="the path connected to")]
    subscriptions: Annotated[list[str], Meta(description="what was subscribed automatically, sorted")]
    available_services: Annotated[list[str], Meta(description="what this endpoint is about; any name may be asked for")]


class Welcome(_Closed, frozen=True, kw_only=True):
    """Second message on `/ws`."""

    message: str
    hint: str
    example: Annotated[dict[str, Any], Meta(description="a command to begin with")]


class Statistics(_Closed, frozen=True, kw_only=True):
    """Numbers of the whole cluster."""

    total_connections: Count
    subscription_counts: Annotated[
        dict[str, Count], Meta(description="by service; those without subscriber are left out")
    ]


class AvailableServices(_Closed, frozen=True, kw_only=True):
    """Every name that can be subscribed, by category."""

    data_collection: list[str]
    monitoring: list[str]
    integration: list[str]
    system: list[str]


class WelcomeMaster(_Closed, frozen=True, kw_only=True):
    """Second message on `/ws/master`."""

    message: str
    available_services: AvailableServices
    usage: Annotated[dict[str, dict[str, Any]], Meta(description="one example of each action")]
    statistics: Statistics


class SubscriptionConfirmed(_Closed, frozen=True, kw_only=True):
    """Answer to `subscribe`, also to the automatic one. The latest update of each service follows at once."""

    service: Asked
    subscriptions: Subscriptions
    recovered: Annotated[
        bool | UnsetType,
        Meta(description="only after `since`: true if all that was missed follows, false if a snapshot does"),
    ] = UNSET
    id: EchoedId = UNSET


class UnsubscriptionConfirmed(_Closed, frozen=True, kw_only=True):
    """Answer to `unsubscribe`."""

    service: Asked
    subscriptions: Subscriptions
    id: EchoedId = UNSET


class ConnectionStatus(_Closed, frozen=True, kw_only=True):
    """Answer to `get_status`."""

    client_id: ClientId
    connected_at: UtcTime
    last_activity: Annotated[UtcTime, Meta(description="when the client's last message came")]
    subscriptions: Subscriptions
    total_clients: Annotated[int, Meta(description="of the whole cluster", ge=0)]
    id: EchoedId = UNSET


class ErrorData(_Closed, frozen=True, kw_only=True):
    """Why a command was not carried out. The connection stays open."""

    message: Annotated[str, Meta(description="for people")]
    code: Annotated[ErrorCode, Meta(description="for programs")]
    available_services: Annotated[
        list[str] | UnsetType, Meta(description="with `invalid_service` and `missing_service`")
    ] = UNSET
    supported_actions: Annotated[list[Action] | UnsetType, Meta(description="with `unknown_action`")] = UNSET
    retry_after_ms: Annotated[int | UnsetType, Meta(description="with `rate_limited`")] = UNSET
    id: EchoedId = UNSET


class UpdateMeta(_Closed, frozen=True, kw_only=True):
    """Where an update stands among those of its service."""

    epoch: Epoch
    seq: Seq
    published_at: UtcTime
    snapshot: Annotated[Literal[True] | UnsetType, Meta(description="it is the latest one, sent on subscribe")] = UNSET
    recovered: Annotated[Literal[True] | UnsetType, Meta(description="it was missed, and is replayed")] = UNSET


# HTTP answers.


class Success(Struct, Generic[T], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer."""

    status: Literal["success"]
    data: T
    timestamp: UtcTime


class FailureData(Struct, frozen=True, kw_only=True):
    """What went wrong, and what helps."""

    message: Annotated[str, Meta(description="for people")]
    code: Annotated[HttpCode | UnsetType, Meta(description="for programs: under `/api/v1` always there")] = UNSET
    available_services: Annotated[list[str] | UnsetType, Meta(description="with `invalid_service`")] = UNSET


class Failure(_Closed, frozen=True, kw_only=True):
    """An error."""

    status: Literal["error"]
    data: FailureData
    timestamp: UtcTime


class Client(_Closed, frozen=True, kw_only=True):
    """One connection, on whichever gateway."""

    client_id: ClientId
    connected_at: UtcTime
    last_activity: Annotated[UtcTime, Meta(description="when the client's last message came")]
    subscriptions: Subscriptions


class Stats(_Closed, frozen=True, kw_only=True):
    """Connections and subscriptions of the whole cluster."""

    total_connections: Count
    clients: Annotated[list[Client], Meta(description="one page of them, oldest first")]
    subscription_counts: Annotated[
        dict[str, Count], Meta(description="by service; those without subscriber are left out")
    ]
    next_cursor: Annotated[str | UnsetType, Meta(description="`cursor` of the next page; absent on the last")] = UNSET


class CatalogueEntry(_Closed, frozen=True, kw_only=True):
    """One service."""

    name: Annotated[str, Meta(examples=["Market Data"])]
    description: str
    update_interval: Annotated[str, Meta(examples=["5 seconds"])]
    endpoints: Annotated[list[str], Meta(examples=[["/ws/data", "/ws/market_data"]])]


class Catalogue(_Closed, frozen=True, kw_only=True):
    """Every service, and the endpoints that are not about one category."""

    services: Annotated[dict[str, dict[str, CatalogueEntry]], Meta(description="by category, then by name")]
    master_endpoints: Annotated[dict[str, str], Meta(description="path to description")]


class EndpointList(_Closed, frozen=True, kw_only=True):
    """Every WebSocket path with a line of description."""

    master_endpoints: dict[str, str]
    data_collection_endpoints: dict[str, str]
    monitoring_endpoints: dict[str, str]
    integration_endpoints: dict[str, str]


class Live(_Closed, frozen=True, kw_only=True):
    """The process runs."""

    status: Literal["live"]


class Readiness(_Closed, frozen=True, kw_only=True):
    """Whether new clients should come here."""

    status: Literal["ready", "not ready"]
    reasons: Annotated[list[str], Meta(description="why not; empty when ready")]


class SnapshotMeta(_Closed, frozen=True, kw_only=True):
    """Where the update stands among those of its service: what `since` of a subscribe takes."""

    epoch: Epoch
    seq: Seq
    published_at: UtcTime


class Snapshot(_Closed, Generic[T], frozen=True, kw_only=True):
    """The newest update, as WebSocket clients get it."""

    type: Literal["update"]
    data: T
    timestamp: UtcTime
    meta: SnapshotMeta


class HistoryRecord(_Closed, Generic[T], frozen=True, kw_only=True):
    """One update as it was published; `epoch` and `seq` name it for ever."""

    epoch: Epoch
    seq: Seq
    published_at: UtcTime
    data: T


class HistoryLimits(_Closed, frozen=True, kw_only=True):
    """What may be asked for, and what there is."""

    default_limit: Annotated[int, Meta(description="records a page unless `limit` says otherwise", ge=1)]
    largest_limit: Annotated[int, Meta(description="records a page at most", ge=1)]
    page_bytes: Annotated[int, Meta(description="of `data` after which a page ends early, with `next_cursor`", ge=1)]
    retention_days: Annotated[float, Meta(description="for which updates of this service are kept", gt=0)]


class History(_Closed, Generic[T], frozen=True, kw_only=True, rename={"first": "from", "last": "to"}):
    """One page: what was published from `from` to `to` (both inclusive), oldest first."""

    first: UtcTime
    last: UtcTime
    limit: Annotated[int, Meta(description="as asked for, or the default", ge=1)]
    records: list[T]
    limits: HistoryLimits
    next_cursor: Annotated[
        str | UnsetType, Meta(description="`cursor` of the next page; absent where this one ends the range")
    ] = UNSET
