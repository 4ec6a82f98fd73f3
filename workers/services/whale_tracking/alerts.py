"""Whale Alert's transfers on chains that coinwire does not scan; only with a key."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from workers.answers import ReportedTransfer, TransferPage
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask
from workers.services.whale_tracking.large import BITCOIN, ETHEREUM
from workers.services.whale_tracking.trail import Transfer, identity

PROVIDERS = ("whale_alert",)
LOOK_BACK = 600.0
"""Seconds back from now that are asked for; transfers that Whale Alert reports later are missed."""
_FIRST_LOOK = 60.0  # s back from now for the first scan; older transfers are not published
_PAGES = 3  # per cycle; beyond 300 large transfers in ten minutes, the newest come some cycles later
_ALIKE = 3  # transfers must be so new that older ones are forgotten: one with a wrong time must not hide the next
_MOST_ANNOUNCED = 2000  # keys remembered, several times the transfers of LOOK_BACK; beyond that the oldest are dropped


class Seen(Struct, frozen=True, kw_only=True):
    """The transfers published recently."""

    since: float | None = None
    """Unix seconds before which nothing is published; None before the first time."""
    announced: dict[bytes, float] = field(name="told", default_factory=dict)
    """Keys, and the unix seconds of the transfers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Alerted:
    """The result of one cycle."""

    seen: Seen
    found: tuple[Transfer, ...] = ()
    owners: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    """The owner of an address, by chain and address, if Whale Alert names one."""
    parties: dict[bytes, tuple[str | None, str | None]] = dataclasses.field(default_factory=dict)
    """The owners of sender and receiver, by the key of the transfer, as far as Whale Alert names them."""
    sources: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Names of the providers that answered, and the unix seconds of what they said."""


class AlertScan:
    """Asks Whale Alert."""

    def __init__(self, pool: SourcePool[Any], threshold: float) -> None:
        """`threshold` in USD."""
        self.pool = pool
        self._threshold = threshold

    async def scan(self, seen: Seen, now: float, deadline: float) -> Alerted:
        """The new transfers since `seen`, within `deadline` s. Nothing without a key. Raises NoSourceError."""
        if not self.pool.sources:
            return Alerted(seen)
        since = min(seen.since, now) if seen.since is not None else now - _FIRST_LOOK
        # By the transfers' own times, what may be forgotten: our clock may be set, or be the next worker's.
        since = max(since, _horizon(seen.announced))
        start = float(int(max(since, now - LOOK_BACK)))  # it takes whole seconds

        async def question(provider: Any, ask: Ask) -> tuple[ReportedTransfer, ...]:
            rows: list[ReportedTransfer] = []
            cursor = None
            for _ in range(_PAGES):
                page: TransferPage = await provider.transfers(ask, self._threshold, start, cursor)
                rows += page.transfers
                cursor = page.cursor
                if cursor is None or not page.transfers:
                    break
            return tuple(rows)

        source, rows = await self.pool.ask(question, deadline)
        announced = dict(seen.announced)
        found: list[Transfer] = []
        owners: dict[tuple[str, str], str] = {}
        parties: dict[bytes, tuple[str | None, str | None]] = {}
        for row in rows:
            transfer = _transfer(row)
            if row.chain in (ETHEREUM, BITCOIN) or row.usd < self._threshold or transfer.key in announced:
                continue  # coinwire scans these chains itself
            announced[transfer.key] = row.time
            found.append(transfer)
            parties[transfer.key] = row.sender_owner, row.to_owner
            for address, owner in ((row.sender, row.sender_owner), (row.to, row.to_owner)):
                if address is not None and owner is not None:
                    owners[row.chain, address] = owner
        since = max(since, _horizon(announced))
        announced = dict([(key, time) for key, time in announced.items() if time >= since][-_MOST_ANNOUNCED:])
        return Alerted(Seen(since=since, announced=announced), tuple(found), owners, parties, {source: now})


def _horizon(announced: Mapping[bytes, float]) -> float:
    """Unix seconds before which no transfer is asked for again."""
    newest = heapq.nlargest(_ALIKE, announced.values())
    return newest[-1] - LOOK_BACK if len(newest) == _ALIKE else float("-inf")


def _transfer(row: ReportedTransfer) -> Transfer:
    return Transfer(
        key=identity(row.chain, row.hash, row.symbol, row.sender, row.to, row.amount),
        chain=row.chain,
        hash=row.hash,
        sender=row.sender,
        to=row.to,
        symbol=row.symbol,
        amount=row.amount,
        usd=row.usd,
        time=row.time,
    )
