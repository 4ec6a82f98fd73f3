from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from shared.payloads.fields import Payload
from shared.payloads.filtering import Again, Choice, Row, Rule, figures


class RpcNode(Struct, frozen=True, kw_only=True):
    """One configured node, whether it answered or not."""

    name: str
    chain: str
    status: Annotated[
        Literal["active", "lagging", "down"],
        Meta(description="`lagging`: behind its chain, or its newest block is old; `down`: no answer, or a wrong one"),
    ]
    block_number: int | None
    block_lag: Annotated[int | None, Meta(description="blocks behind the head of its chain")]
    gas_price_gwei: float | None
    response_time_ms: float | None
    error: Annotated[str | None, Meta(description="what went wrong, or why it is not believed")]


class ChainEvent(Struct, frozen=True, kw_only=True):
    """Something that happened on a chain since the last update."""

    chain: str
    type: Literal["new_block", "reorg"]
    block_number: int
    block_hash: str | None
    depth: Annotated[int | None, Meta(description="blocks replaced, for a reorg")] = None


def average_latency(milliseconds: Iterable[float]) -> float | None:
    """The mean of what nodes took to answer; None where none did."""
    times = list(milliseconds)
    return round(sum(times) / len(times), 1) if times else None


def _active(rows: list[Row], _before: Any) -> int:
    return sum(row.get("status") == "active" for row in rows)


def _total(rows: list[Row], _before: Any) -> int:
    return len(rows)


def _average(rows: list[Row], _before: Any) -> float | None:
    return average_latency(figures(rows, "response_time_ms"))


def _moments(rows: list[Row], before: Any) -> Any:
    names = [row.get("name") for row in rows]
    return {name: moment for name, moment in before.items() if name in names} if isinstance(before, dict) else before


class RpcNodes(Payload, frozen=True, kw_only=True):
    """State of the JSON-RPC nodes."""

    filters: ClassVar[tuple[Rule, ...]] = (
        Choice(name="chains", words="names of chains", rows={"nodes": "chain", "events": "chain"}, names_unknown=True),
    )
    again: ClassVar[tuple[Again, ...]] = (
        Again("active_nodes", "nodes", _active),
        Again("total_nodes", "nodes", _total),
        Again("average_latency", "nodes", _average),
        Again("as_of", "nodes", _moments),
    )

    nodes: list[RpcNode]
    active_nodes: int
    total_nodes: int
    average_latency: Annotated[float | None, Meta(description="milliseconds over the nodes that answered")]
    events: list[ChainEvent]
