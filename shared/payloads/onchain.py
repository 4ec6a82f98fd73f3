from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from shared.payloads.fields import Payload
from shared.payloads.filtering import Choice, Rule


class ChainMetrics(Struct, frozen=True, kw_only=True):
    """Activity of one chain. Where a source counts by days, the last 24 h are the last whole day (UTC)."""

    active_addresses: Annotated[int | None, Meta(description="addresses active in the last 24 h")]
    transaction_count: Annotated[int | None, Meta(description="transactions in the last 24 h")]
    total_fees: Annotated[float | None, Meta(description="USD that users paid for transactions in the last 24 h")]
    gas_price: Annotated[float | None, Meta(description="gwei; chains with gas only")]
    network_utilization: Annotated[float | None, Meta(description="share of block space used, 0 to 1")]
    total_value_locked: Annotated[float | None, Meta(description="USD")]
    transactions_per_second: Annotated[
        float | None, Meta(description="Solana: over the last five minutes, without the votes of validators")
    ] = None
    priority_fee: Annotated[
        float | None, Meta(description="Solana: micro-lamports per compute unit that half of the last blocks accepted")
    ] = None


class ContractEvent(Struct, frozen=True, kw_only=True):
    """One event that a contract emitted."""

    chain: str
    contract: Annotated[str, Meta(description="address, lower case")]
    event: Annotated[str, Meta(description="its name in the contract's source")]
    block_number: int
    transaction_hash: str


class Onchain(Payload, frozen=True, kw_only=True):
    """Activity over all chains that a source covers, including those that are not in `chains`."""

    filters: ClassVar[tuple[Rule, ...]] = (
        Choice(
            name="chains",
            words="names of chains",
            maps=("chains",),
            rows={"contract_events": "chain"},
            names_unknown=True,
        ),
    )

    active_addresses: Annotated[int | None, Meta(description="addresses active in the last 24 h, all chains known")]
    transaction_count: Annotated[int | None, Meta(description="transactions in the last 24 h, all chains known")]
    total_fees: Annotated[float | None, Meta(description="USD in the last 24 h, all chains known")]
    gas_price: Annotated[float | None, Meta(description="Ethereum, gwei")]
    network_utilization: Annotated[float | None, Meta(description="Ethereum, share of block space used, 0 to 1")]
    total_value_locked: Annotated[float | None, Meta(description="USD, all chains")]
    chains: dict[str, ChainMetrics]
    contract_events: list[ContractEvent]
    sources: list[str]
