"""Answers of trackers of large transfers."""

from __future__ import annotations

from msgspec import Struct


class ReportedTransfer(Struct, frozen=True, kw_only=True):
    """One large transfer as a tracker reports it."""

    chain: str
    """The tracker's name of the chain, lower case."""
    hash: str
    sender: str | None
    sender_owner: str | None
    """Owner of the address, if the tracker has it."""
    to: str | None
    to_owner: str | None
    symbol: str
    """Upper case."""
    amount: float
    usd: float
    time: float
    """Unix seconds."""


class TransferPage(Struct, frozen=True, kw_only=True):
    """One page of transfers, and the cursor of the next."""

    transfers: tuple[ReportedTransfer, ...]
    cursor: str | None
    """Cursor of the next page; None if the tracker gives none."""
