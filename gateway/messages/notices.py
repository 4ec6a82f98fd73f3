"""What the gateway sends besides updates and replies: the greeting of a connection, and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.endpoints import ENDPOINTS, Endpoint, expand
from gateway.messages.actions import ACTIONS, COMMANDS, Command, Subscribe, action_of
from gateway.messages.faults import ErrorCode
from gateway.messages.fields import (
    EXAMPLE_CLIENT,
    EXAMPLE_TIME,
    ClientId,
    Closed,
    Count,
    CountByService,
    EchoedId,
    KnownFilters,
)
from gateway.messages.message import Notice
from shared.catalog import ALL, CATEGORIES, SYSTEM, of_category
from shared.envelope import UPDATE
from shared.payloads.fields import UtcTime


class ConnectionEstablished(Notice, frozen=True, kw_only=True):
    """First message of every connection."""

    type: ClassVar[str] = "connection_established"

    client_id: ClientId
    connected_at: UtcTime
    message: str
    endpoint: Annotated[str, Meta(description="the path connected to")]
    subscriptions: Annotated[list[str], Meta(description="subscribed automatically, sorted")]
    available_services: Annotated[
        list[str], Meta(description="the services of this endpoint; any other can be subscribed, too")
    ]

    @classmethod
    def examples(cls) -> Sequence[Self]:
        endpoint = ENDPOINTS["/ws/market_data"]
        return (
            cls(
                client_id=EXAMPLE_CLIENT,
                connected_at=EXAMPLE_TIME,
                message=f"Connected to {endpoint.path}",
                endpoint=endpoint.path,
                subscriptions=["market_data"],
                available_services=list(endpoint.lists),
            ),
        )


class Statistics(Closed, frozen=True, kw_only=True):
    """Numbers of the whole cluster."""

    total_connections: Count
    subscription_counts: CountByService


class Welcome(Notice, frozen=True, kw_only=True):
    """Second message on `/ws`."""

    type: ClassVar[str] = "welcome"

    message: str
    hint: str
    example: Annotated[dict[str, Any], Meta(description="a command to begin with")]

    @classmethod
    def of(cls, _statistics: Statistics) -> Self:
        """The one to send."""
        return cls(
            message="Connected to default WebSocket endpoint",
            hint="Send subscription messages to receive updates",
            example=msgspec.to_builtins(Subscribe.examples()[0]),
        )

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (cls.of(_STATISTICS),)


class AvailableServices(Closed, frozen=True, kw_only=True):
    """Every name that can be subscribed, by category."""

    data_collection: list[str]
    monitoring: list[str]
    integration: list[str]
    system: list[str]


class WelcomeMaster(Notice, frozen=True, kw_only=True):
    """Second message on `/ws/master`."""

    type: ClassVar[str] = "welcome"
    name: ClassVar[str | None] = "welcome_master"

    message: str
    available_services: AvailableServices
    usage: Annotated[dict[str, dict[str, Any]], Meta(description="one example of each action")]
    statistics: Statistics

    @classmethod
    def of(cls, statistics: Statistics) -> Self:
        """The one to send."""
        groups = {category: list(of_category(category)) for category in CATEGORIES}
        return cls(
            message="Connected to master WebSocket endpoint",
            available_services=AvailableServices(**groups, system=[SYSTEM, ALL]),
            usage={action_of(command): _usage(command) for command in COMMANDS.values()},
            statistics=statistics,
        )

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (cls.of(_STATISTICS),)


class ErrorData(Notice, frozen=True, kw_only=True):
    """Why a command was not carried out. The connection stays open."""

    type: ClassVar[str] = "error"

    message: Annotated[str, Meta(description="for people")]
    code: Annotated[ErrorCode, Meta(description="for programs")]
    available_services: Annotated[
        list[str] | UnsetType, Meta(description="with `invalid_service` and `missing_service`")
    ] = UNSET
    supported_actions: Annotated[
        list[Annotated[str, Meta(extra_json_schema={"enum": list(ACTIONS)})]] | UnsetType,
        Meta(description="with `unknown_action`"),
    ] = UNSET
    retry_after_ms: Annotated[int | UnsetType, Meta(description="with `rate_limited`")] = UNSET
    service: Annotated[str | UnsetType, Meta(description="with `invalid_filter`: which service does not know it")] = (
        UNSET
    )
    known: KnownFilters | UnsetType = UNSET
    ids: Annotated[
        list[str] | UnsetType, Meta(description="with `invalid_filter`: the coins that share an ambiguous symbol")
    ] = UNSET
    fields: Annotated[
        list[str] | UnsetType, Meta(description="with `invalid_filter`: the fields that `data` of `service` has")
    ] = UNSET
    id: EchoedId = UNSET

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (
            cls(message="Unknown action: buy", code="unknown_action", supported_actions=list(ACTIONS)),
            cls(
                message="market_data has no filter chains: it has coins, fields",
                code="invalid_filter",
                service="market_data",
                known={"coins": "a list of strings", "fields": "a list of strings"},
            ),
        )


_STATISTICS = Statistics(total_connections=5, subscription_counts={"market_data": 4})


def _usage(command: type[Command]) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(command.examples()[0])
    return shown | ({"service": "service_name"} if "service" in shown else {})


WELCOMES: dict[str, type[Welcome | WelcomeMaster]] = {"/ws": Welcome, "/ws/master": WelcomeMaster}
"""The second message of a connection, by path."""


def greeting(
    endpoint: Endpoint, statistics: Callable[[], Statistics], *, client_id: str, connected_at: str, subscribes: bool
) -> Iterator[Notice]:
    """What a client of `endpoint` gets first. `subscribes` is whether a subscription follows."""
    yield ConnectionEstablished(
        client_id=client_id,
        connected_at=connected_at,
        message=f"Connected to {endpoint.path}",
        endpoint=endpoint.path,
        subscriptions=sorted(expand((endpoint.subscribes,))) if endpoint.subscribes and subscribes else [],
        available_services=list(endpoint.lists),
    )
    welcome = WELCOMES.get(endpoint.path)
    if welcome is not None:
        yield welcome.of(statistics())


GREETINGS: tuple[type[Notice], ...] = (ConnectionEstablished, *WELCOMES.values())
REPLIES: tuple[type[Notice], ...] = tuple(dict.fromkeys(command.reply for command in COMMANDS.values()))
NOTICES: tuple[type[Notice], ...] = (*GREETINGS, *REPLIES, ErrorData)
"""Every message of the gateway itself, in the protocol's order."""

_TYPES = [notice.type for notice in NOTICES]
_TYPES.insert(len(GREETINGS), UPDATE)
MESSAGE_TYPES = tuple(dict.fromkeys(_TYPES))
"""Every `type`, in the protocol's order."""
