"""Parts of statements, and of rows, that several methods of Database share."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, select

from shared.database.record import Record
from shared.database.tables import totals, updates

NOTED = select(totals.c.service, totals.c.epoch, totals.c.seq).where(totals.c.epoch.is_not(None))
"""The position recorded last, of each service whose position was noted."""


def around(services: Collection[str], moment: int) -> Select[Any]:
    """Per service, the times of its newest record up to `moment` (unix ms) and of its oldest one after it.

    One look at the index for each, whatever the number of records.
    """
    newest = select(func.max(updates.c.published_at)).where(updates.c.published_at <= moment)
    oldest = select(func.min(updates.c.published_at)).where(updates.c.published_at > moment)
    both = (found.where(updates.c.service == service) for found in (newest, oldest) for service in services)
    return select(*(found.scalar_subquery() for found in both))


def row_of(record: Record) -> dict[str, Any]:
    """A record as a row of `updates`."""
    return {
        "service": record.service,
        "epoch": record.epoch,
        "seq": record.seq,
        "published_at": record.published_at,
        "data": record.data,
    }


def between(statement: Select[Any], service: str | None, first: int | None, last: int | None) -> Select[Any]:
    """`statement`, limited to one service and one span (unix ms, inclusive) if given."""
    if service is not None:
        statement = statement.where(updates.c.service == service)
    if first is not None:
        statement = statement.where(updates.c.published_at >= first)
    if last is not None:
        statement = statement.where(updates.c.published_at <= last)
    return statement


def bytes_of(file: Path) -> int:
    """Bytes of an SQLite database on disk."""
    return sum(part.stat().st_size for part in (file, file.with_name(file.name + "-wal")) if part.exists())
