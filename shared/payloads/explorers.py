from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from shared.payloads.fields import Payload
from shared.payloads.filtering import Choice, Rule


class Fees(Struct, frozen=True, kw_only=True):
    """Bitcoin fee rates that miners are expected to accept."""

    fast: Annotated[float | None, Meta(description="sat/vB for the next block")]
    medium: Annotated[float | None, Meta(description="sat/vB for within half an hour")]
    slow: Annotated[float | None, Meta(description="sat/vB for within an hour")]


class BitcoinExplorer(Struct, frozen=True, kw_only=True):
    """Bitcoin as block explorers see it."""

    latest_block: Annotated[int | None, Meta(description="height of the newest block")]
    hashrate: Annotated[float | None, Meta(description="hashes per second, estimated by the source")]
    difficulty: Annotated[float | None, Meta(description="current difficulty, no unit")]
    mempool_size: Annotated[int | None, Meta(description="unconfirmed transactions")]
    transactions_count: Annotated[int | None, Meta(description="transactions in the last 24 h")]
    fees: Fees | None


class EthereumExplorer(Struct, frozen=True, kw_only=True):
    """Ethereum as block explorers see it."""

    latest_block: Annotated[int | None, Meta(description="number of the newest block")]
    gas_price_gwei: Annotated[float | None, Meta(description="gwei for one unit of gas")]
    transactions_count: Annotated[int | None, Meta(description="transactions in the last 24 h")]


class ExplorerChains(Struct, frozen=True, kw_only=True):
    """One entry per chain; `null` if no source of that chain answered."""

    bitcoin: BitcoinExplorer | None
    ethereum: EthereumExplorer | None


class Explorers(Payload, frozen=True, kw_only=True):
    """Chain statistics. The Bitcoin figures are repeated at the top level."""

    filters: ClassVar[tuple[Rule, ...]] = (
        Choice(name="chains", words="names of chains", maps=("chains",), names_unknown=True),
    )

    chains: ExplorerChains
    latest_block: Annotated[int | None, Meta(description="Bitcoin: height of the newest block")]
    network_hashrate: Annotated[float | None, Meta(description="Bitcoin: hashes per second")]
    difficulty: Annotated[float | None, Meta(description="Bitcoin: current difficulty")]
    mempool_size: Annotated[int | None, Meta(description="Bitcoin: unconfirmed transactions")]
    transactions_count: Annotated[int | None, Meta(description="Bitcoin: transactions in the last 24 h")]
    sources: Annotated[list[str], Meta(description="providers that answered for this update")]
