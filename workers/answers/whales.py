"""What trackers of large transfers say."""

from __future__ import annotations

from msgspec import Struct


class ReportedTransfer(Struct, frozen=True, kw_only=True):
    """One large transfer, as a tracker reports it."""

    chain: str
    """The tracker's name for it, lower case."""
    hash: str
    sender: str | None
    sender_owner: str | None
    """Whose the address is, where the tracker knows."""
    to: str | None
    to_owner: str | None
    symbol: str
    """Upper case."""
    amount: float
    usd: float
    time: float
    """Unix seconds."""


class TransferPage(Struct, frozen=True, kw_only=True):
    """One answer of several."""

    transfers: tuple[ReportedTransfer, ...]
    cursor: str | None
    """What the next page is asked with; None where the tracker gives none."""
