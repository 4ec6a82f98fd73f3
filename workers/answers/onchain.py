"""Logs of contracts' events, and counts of addresses."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class ContractLog(Struct, frozen=True, kw_only=True):
    """One log of a contract. Its transaction succeeded: failed ones leave no logs."""

    block: int
    index: int
    """Of the log within its block."""
    transaction: str
    """Hash."""
    contract: str
    """Address, lower case."""
    topic: str
    """Hash of the event's signature, lower case."""


class ActiveAddresses(Struct, frozen=True, kw_only=True):
    """The addresses of a chain that sent or received in one UTC day."""

    chain: str
    day: float
    """Unix seconds of its beginning."""
    count: int
    series: str
    """What the provider calls the count, for errors."""


class PerChain(dict[str, float]):
    """A figure in USD by chain."""

    def __init__(self, figures: Mapping[str, float], *, complete: bool = True) -> None:
        """`complete`: whether no row was left out that may be a chain's. Otherwise the sum is not that of all."""
        super().__init__(figures)
        self.complete = complete
