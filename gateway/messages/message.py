"""The four keys that every server message has, and what the `data` of a message must state about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from msgspec import UNSET, Meta, UnsetType

from gateway.messages.fields import Closed, Epoch, Seq
from shared.payloads.fields import UtcTime

T = TypeVar("T")


class LostUpdates(Closed, frozen=True, kw_only=True, rename={"first": "from", "last": "to"}):
    """Updates that nobody can bring back: the first and the last seq of them."""

    first: Seq
    last: Seq


class UpdateMeta(Closed, frozen=True, kw_only=True):
    """Where an update stands among those of its service."""

    epoch: Epoch
    seq: Seq
    published_at: UtcTime
    snapshot: Annotated[Literal[True] | UnsetType, Meta(description="this is the latest update, sent on subscribe")] = (
        UNSET
    )
    recovered: Annotated[Literal[True] | UnsetType, Meta(description="this update was missed and is replayed")] = UNSET
    skipped: Annotated[
        Annotated[int, Meta(ge=1)] | UnsetType,
        Meta(description="updates left out before this one: the client was behind (`deliver: latest`), or see `gap`"),
    ] = UNSET
    gap: Annotated[
        LostUpdates | UnsetType,
        Meta(description="updates of this epoch, before this one, that the cluster lost: no `since` brings them back"),
    ] = UNSET


class Message(Closed, Generic[T], frozen=True, kw_only=True):
    """One server message."""

    service: str
    type: str
    data: T
    timestamp: Annotated[UtcTime, Meta(description="when it was sent; of an update, when it was published (UTC)")]
    meta: UpdateMeta | UnsetType = UNSET


class Notice(Closed, frozen=True, kw_only=True):
    """`data` of a message of the gateway itself: of any type but `update`. The docstring is its description."""

    type: ClassVar[str]
    name: ClassVar[str | None] = None
    """Its name in the API documents, where another notice has the same `type`."""
    schema: ClassVar[Any] = None
    """What `data` is in the API documents, where that is not this type."""

    @property
    def data(self) -> Any:
        """What is sent as `data`."""
        return self

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Some that the API documents show."""
        raise NotImplementedError
