from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from shared.payloads.fields import Payload


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


class RpcNodes(Payload, frozen=True, kw_only=True):
    """State of the JSON-RPC nodes."""

    nodes: list[RpcNode]
    active_nodes: int
    total_nodes: int
    average_latency: Annotated[float | None, Meta(description="milliseconds over the nodes that answered")]
    events: list[ChainEvent]
