"""Owners of well-known addresses: wallets.json, a small table of exchanges' wallets, each with its source."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct


class Wallet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One publicly known address."""

    chain: str
    address: str
    """As the chain writes it; Ethereum's in lower case."""
    label: str
    source: str
    """Key in `sources`."""


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sources: dict[str, str]
    """Where the labels come from: a public list at one version."""
    wallets: tuple[Wallet, ...]


def label_of(chain: str, address: str | None) -> str | None:
    """The owner of `address` on `chain`; None if it is not in the table."""
    return _labels().get((chain, address)) if address is not None else None


def wallets() -> tuple[Wallet, ...]:
    """All wallets of the table."""
    return _table().wallets


def sources() -> dict[str, str]:
    """The sources of the labels, by the key in `Wallet.source`."""
    return _table().sources


@cache
def _labels() -> dict[tuple[str, str], str]:
    return {(wallet.chain, wallet.address): wallet.label for wallet in wallets()}


@cache
def _table() -> _Table:
    return msgspec.json.decode((resources.files(__package__) / "wallets.json").read_bytes(), type=_Table)
