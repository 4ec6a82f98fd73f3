"""Parts of statements, and of rows, that several methods of Database share."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from sqlalchemy import Select, Update, and_, case, func, or_, select, update

from shared.database.record import Record
from shared.database.tables import metadata, totals, updates

NOTED = select(totals.c.service, totals.c.epoch, totals.c.seq).where(totals.c.epoch.is_not(None))
"""The position recorded last, of each service whose position was noted."""

SIZE = select(*(func.pg_total_relation_size(name) for name in metadata.tables))
"""Bytes on PostgreSQL's disk, by table."""


def counted(statement: Any) -> Any:
    """An insert into `totals` that adds to the row that is there. Of its columns, None changes nothing."""
    new, old = statement.excluded, totals.c
    # Of two recorders, while a lease passes on, the one that has come further counts.
    behind = and_(old.epoch == new.epoch, old.seq > new.seq)
    changed = {
        "records": old.records + new.records,
        "unrecorded": old.unrecorded + new.unrecorded,
        "last_save": func.coalesce(new.last_save, old.last_save),
        "epoch": func.coalesce(new.epoch, old.epoch),
        "seq": case((behind, old.seq), else_=func.coalesce(new.seq, old.seq)),
    }
    return statement.on_conflict_do_update(index_elements=["service"], set_=changed)


def pruned(service: str, before_ms: int) -> Update:
    """Note that records of `service` from before `before_ms` may have been deleted."""
    later = or_(totals.c.pruned_to.is_(None), totals.c.pruned_to < before_ms)
    return update(totals).where(totals.c.service == service, later).values(pruned_to=before_ms)


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
