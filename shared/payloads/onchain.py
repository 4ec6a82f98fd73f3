from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.payloads.fields import Payload


class ChainMetrics(Struct, frozen=True, kw_only=True):
    """Activity of one chain."""

    active_addresses: Annotated[int | None, Meta(description="addresses active in the last 24 h")]
    transaction_count: Annotated[int | None, Meta(description="transactions in the last 24 h")]
    total_fees: Annotated[float | None, Meta(description="USD in the last 24 h")]
    gas_price: Annotated[float | None, Meta(description="gwei; chains with gas only")]
    network_utilization: Annotated[float | None, Meta(description="share of block space used, 0 to 1")]
    total_value_locked: Annotated[float | None, Meta(description="USD")]


class ContractEvent(Struct, frozen=True, kw_only=True):
    """One event that a contract emitted."""

    chain: str
    contract: str
    event: str
    block_number: int
    transaction_hash: str


class Onchain(Payload, frozen=True, kw_only=True):
    """Activity over all chains that a source answered for."""

    active_addresses: Annotated[int | None, Meta(description="addresses active in the last 24 h")]
    transaction_count: Annotated[int | None, Meta(description="transactions in the last 24 h")]
    total_fees: Annotated[float | None, Meta(description="USD in the last 24 h")]
    gas_price: Annotated[float | None, Meta(description="Ethereum, gwei")]
    network_utilization: Annotated[float | None, Meta(description="Ethereum, share of block space used, 0 to 1")]
    total_value_locked: Annotated[float | None, Meta(description="USD, all chains")]
    chains: dict[str, ChainMetrics]
    contract_events: list[ContractEvent]
    sources: list[str]
