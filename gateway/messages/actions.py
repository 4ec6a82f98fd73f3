"""Actions: each command that a client can send, and the message that answers it.

A new action is its two types here and a branch in `Session._carry_out`; `AnyCommand` names it, and mypy then reports
the missing branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.endpoints import SUBSCRIBABLE
from gateway.messages.faults import Fault, kind_of
from gateway.messages.fields import (
    EXAMPLE_CLIENT,
    EXAMPLE_TIME,
    Asked,
    ClientId,
    Closed,
    CommandId,
    Count,
    Deliver,
    EchoedId,
    ServiceNames,
    Subscriptions,
)
from gateway.messages.filtering import FilterFields
from gateway.messages.message import Notice
from gateway.messages.reading import names_of, read_deliver, read_id, read_service
from shared.payloads.fields import UtcTime


class Command(Struct, frozen=True, kw_only=True, tag_field="action"):
    """What all commands have in common. The tag is the action, the docstring its description."""

    reply: ClassVar[type[Notice]]
    """What answers it, unless a Fault does."""

    @property
    def action(self) -> str:
        """The name of the action."""
        return action_of(type(self))

    @classmethod
    def read(cls, message: dict[Any, Any]) -> Self:
        """The command in `message`, whose `id` is checked. Raises Fault. Unknown keys are ignored, null is absent."""
        fields = {name: message[name] for name in cls.__struct_encode_fields__ if message.get(name) is not None}
        try:
            return msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise Fault("invalid_message", str(error)) from None

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Some that the API documents show; the first one is the simplest."""
        return (cls(),)


# subscribe


class Since(Struct, frozen=True, kw_only=True):
    """The position of the last update seen, from its `meta`. Goes with one service."""

    epoch: str
    seq: Count


class ServicePosition(Closed, frozen=True, kw_only=True):
    """Where a service stands: `since` this position, every later update is replayed."""

    epoch: Annotated[str, Meta(description="empty before the first update of the service")]
    seq: Count


class SubscriptionConfirmed(Notice, frozen=True, kw_only=True):
    """Reply to `subscribe`, also to an automatic one. The latest update of each service follows at once."""

    type: ClassVar[str] = "subscription_confirmed"

    service: Asked
    subscriptions: Subscriptions
    recovered: Annotated[
        bool | UnsetType,
        Meta(description="only after `since`: true if all missed updates follow, false if a snapshot does"),
    ] = UNSET
    position: Annotated[
        ServicePosition | UnsetType,
        Meta(description="only on connections that see `meta`, if `service` names one service"),
    ] = UNSET
    positions: Annotated[
        dict[str, ServicePosition] | UnsetType,
        Meta(description="only on connections that see `meta`, by service, if `service` is `all` or a list"),
    ] = UNSET
    deliver: Annotated[Deliver | UnsetType, Meta(description="only if the command has it")] = UNSET
    filter: Annotated[
        FilterFields | UnsetType,
        Meta(description="only if the command has one: every value once, coins by their ids"),
    ] = UNSET
    id: EchoedId = UNSET

    @classmethod
    def examples(cls) -> Sequence[Self]:
        position = ServicePosition(epoch="5f2b9c81d04e7a63", seq=42)
        return (
            cls(service="market_data", subscriptions=["market_data", "news"], id=7),
            cls(service="news", subscriptions=["news"], position=position),
            cls(service="market_data", subscriptions=["market_data"], filter={"coins": ["bitcoin", "ethereum"]}),
        )


class Subscribe(Command, frozen=True, kw_only=True, tag="subscribe", rename={"asked": "service"}):
    """Receive the updates of a service from now on, and the latest one at once. Idempotent."""

    reply = SubscriptionConfirmed

    asked: ServiceNames
    since: Since | UnsetType = UNSET
    deliver: Annotated[
        Deliver | UnsetType,
        Meta(
            description="to a client that is behind: only the latest update of the service, or every one. By default "
            "as it was; at first `latest` for a state on a connection without `meta`, else `every`"
        ),
    ] = UNSET
    filter: FilterFields | UnsetType = UNSET
    """As it was sent: which services know it, and what of it, is for `gateway.filters` to find out."""
    id: CommandId | UnsetType = UNSET

    @property
    def services(self) -> tuple[str, ...]:
        """The names asked for."""
        return names_of(self.asked)

    @classmethod
    def read(cls, message: dict[Any, Any]) -> Self:
        asked = read_service("subscribe", message)
        since = _read_since(message["since"], names_of(asked)) if "since" in message else UNSET
        wanted = UNSET if message.get("filter") is None else message["filter"]
        return cls(asked=asked, since=since, deliver=read_deliver(message), filter=wanted, id=read_id(message))

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (
            cls(asked="market_data"),
            cls(asked=["news", "sentiment"], id=7),
            cls(asked="news", since=Since(epoch="9f86d081884c7d65", seq=41)),
            cls(asked="market_data", deliver="latest"),
            cls(asked="market_data", filter={"coins": ["bitcoin", "ETH"], "fields": ["prices", "price_changes"]}),
            cls(asked="whale_tracking", filter={"chains": ["ethereum"], "min_value_usd": 5_000_000}),
        )


# unsubscribe


class UnsubscriptionConfirmed(Notice, frozen=True, kw_only=True):
    """Reply to `unsubscribe`."""

    type: ClassVar[str] = "unsubscription_confirmed"

    service: Asked
    subscriptions: Subscriptions
    id: EchoedId = UNSET

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (cls(service="market_data", subscriptions=["news"]),)


class Unsubscribe(Command, frozen=True, kw_only=True, tag="unsubscribe", rename={"asked": "service"}):
    """Receive no more updates of a service. `all` ends all twelve. Idempotent."""

    reply = UnsubscriptionConfirmed

    asked: ServiceNames
    id: CommandId | UnsetType = UNSET

    @property
    def services(self) -> tuple[str, ...]:
        """The names asked for."""
        return names_of(self.asked)

    @classmethod
    def read(cls, message: dict[Any, Any]) -> Self:
        return cls(asked=read_service("unsubscribe", message), id=read_id(message))

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (cls(asked="market_data"),)


# get_status


class ConnectionStatus(Notice, frozen=True, kw_only=True):
    """Reply to `get_status`."""

    type: ClassVar[str] = "status"

    client_id: ClientId
    connected_at: UtcTime
    last_activity: Annotated[UtcTime, Meta(description="when the last message from the client arrived")]
    subscriptions: Subscriptions
    total_clients: Annotated[int, Meta(description="of the whole cluster", ge=0)]
    filters: Annotated[
        dict[str, FilterFields] | UnsetType, Meta(description="by service; absent if everything is sent")
    ] = UNSET
    id: EchoedId = UNSET

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (
            cls(
                client_id=EXAMPLE_CLIENT,
                connected_at=EXAMPLE_TIME,
                last_activity="2025-11-11T10:30:05.000Z",
                subscriptions=["market_data", "whale_tracking"],
                total_clients=5,
            ),
        )


class GetStatus(Command, frozen=True, kw_only=True, tag="get_status"):
    """Report the state of this connection and its subscriptions."""

    reply = ConnectionStatus

    id: CommandId | UnsetType = UNSET


# ping


class Pong(Notice, frozen=True, kw_only=True):
    """Reply to `ping`."""

    type: ClassVar[str] = "pong"
    schema: ClassVar[Any] = Annotated[
        Any, Meta(description="`data` of the ping; `{}` if it had none. With an `id`, that is added")
    ]

    echo: Any
    id: EchoedId = UNSET

    @property
    def data(self) -> Any:
        return self.echo if self.id is UNSET else self.echo | {"id": self.id}

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (cls(echo={"custom": "data"}),)


class Ping(Command, frozen=True, kw_only=True, tag="ping"):
    """Get `data` back."""

    reply = Pong

    data: Annotated[Any, Meta(description="anything; with an `id`, an object")] = {}
    id: CommandId | UnsetType = UNSET

    @classmethod
    def read(cls, message: dict[Any, Any]) -> Self:
        data, command_id = message.get("data"), read_id(message)
        data = {} if data is None else data
        if command_id is not UNSET and not isinstance(data, dict):
            raise Fault("invalid_message", f"With an id, data must be an object, not {kind_of(data)}")
        return cls(data=data, id=command_id)

    @classmethod
    def examples(cls) -> Sequence[Self]:
        return (cls(data={"custom": "data"}),)


AnyCommand = Subscribe | Unsubscribe | GetStatus | Ping
"""Every command that there is: a `match` over it that forgets one is a type error."""


def action_of(command: type[Command]) -> str:
    """The name of a command's action."""
    return str(command.__struct_config__.tag)


COMMANDS: dict[str, type[AnyCommand]] = {action_of(command): command for command in get_args(AnyCommand)}
"""By action, in the protocol's order."""
ACTIONS = tuple(COMMANDS)


def _read_since(since: Any, names: tuple[str, ...]) -> Since:
    if len(names) != 1 or names[0] not in SUBSCRIBABLE[:-1]:
        raise Fault("invalid_message", "since goes with one service: a position belongs to one")
    epoch, seq = (since.get("epoch"), since.get("seq")) if isinstance(since, dict) else (None, None)
    if not isinstance(epoch, str) or not isinstance(seq, int) or isinstance(seq, bool) or seq < 0:
        raise Fault("invalid_message", 'since must be {"epoch": string, "seq": integer from 0}')
    return Since(epoch=epoch, seq=seq)
