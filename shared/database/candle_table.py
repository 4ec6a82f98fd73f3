"""Statements on the table of candles, for Database and for the migration that makes it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from math import inf
from operator import attrgetter
from typing import Any

from sqlalchemy import ARRAY, Connection, Select, and_, bindparam, case, delete, func, literal, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from shared.database.candles import HOUR, MINUTE, SERVICE, Candle, CandleKey, Spans, candles_of
from shared.database.record import Record
from shared.database.tables import candles, totals

_FIELDS = tuple(column.name for column in candles.columns)
_values = attrgetter(*_FIELDS)
_KEY = tuple(candles.primary_key)


def add_candles(connection: Connection, new: Iterable[Record]) -> None:
    """Add the prices of `new` to the candles. Each record may be added once: this counts its prices again.

    A record from before the oldest one that is kept may have been added before it was deleted, and come again from a
    backup. Its prices then count only outside of the times that the candles cover already.
    """
    records = [record for record in new if record.service == SERVICE]
    if not records:
        return
    noted = connection.execute(select(totals.c.pruned_to).where(totals.c.service == SERVICE)).scalar()
    kept_from = -inf if noted is None else noted
    older = [record for record in records if record.published_at < kept_from]
    if older:
        _write(connection, candles_of(older, _spans(connection, older)))
    _write(connection, candles_of(record for record in records if record.published_at >= kept_from))


def _spans(connection: Connection, records: Collection[Record]) -> Spans:
    keys = {
        (seconds, record.published_at - record.published_at % (seconds * 1000))
        for record in records
        for seconds in (MINUTE, HOUR)
    }
    statement = select(*_KEY, candles.c.first_at, candles.c.last_at)
    found: dict[CandleKey, tuple[int, int]] = {}
    for seconds, open_at in keys:
        rows = connection.execute(statement.where(candles.c.seconds == seconds, candles.c.open_at == open_at))
        found.update((CandleKey(*row[:3]), (row.first_at, row.last_at)) for row in rows)
    return found


def _added(statement: Any) -> Any:
    """What is inserted is added to a candle that exists. Of prices at the same time, the one recorded first opens."""
    new, old = statement.excluded, candles.c
    earlier, later = new.first_at < old.first_at, new.last_at >= old.last_at
    changed = {
        "first_at": case((earlier, new.first_at), else_=old.first_at),
        "last_at": case((later, new.last_at), else_=old.last_at),
        "open": case((earlier, new.open), else_=old.open),
        "high": case((new.high > old.high, new.high), else_=old.high),
        "low": case((new.low < old.low, new.low), else_=old.low),
        "close": case((later, new.close), else_=old.close),
        "samples": old.samples + new.samples,
    }
    return statement.on_conflict_do_update(index_elements=_KEY, set_=changed)


# One statement with arrays instead of a round of the protocol per candle.
_ARRAYS = [func.unnest(bindparam(column.name, type_=ARRAY(column.type))) for column in candles.columns]
_ON_POSTGRESQL = _added(postgresql.insert(candles).from_select(_FIELDS, select(*_ARRAYS)))
_ON_SQLITE = str(_added(sqlite.insert(candles)).compile(dialect=sqlite.dialect()))


def _write(connection: Connection, made: Sequence[Candle]) -> None:
    """Insert candles, or add to those that are there. The order of `made` is that of every writer: no deadlocks."""
    if not made:
        return
    rows = [_values(candle) for candle in made]
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_ON_SQLITE, rows)
    else:
        connection.execute(_ON_POSTGRESQL, dict(zip(_FIELDS, map(list, zip(*rows, strict=True)), strict=True)))


def page_of(coin: str, seconds: int, first: int | None, last: int, limit: int) -> Select[Any]:
    """Rows (open_at, open, high, low, close, samples) of candles of any length that is a multiple of a stored one.

    They open from `first` to `last` (unix ms), which are multiples of their length; at most `limit`, oldest first.
    """
    stored = HOUR if seconds % HOUR == 0 else MINUTE
    end = last + seconds * 1000
    rows = select(candles).where(candles.c.coin == coin, candles.c.seconds == stored, candles.c.open_at < end)
    if first is not None:
        rows = rows.where(candles.c.open_at >= first)
    # SQLite, which counts no rows, would read the candles of all coins: the primary key fits as well.
    rows = rows.with_hint(candles, "INDEXED BY candles_by_coin", "sqlite")
    figures = (candles.c.open, candles.c.high, candles.c.low, candles.c.close, candles.c.samples)
    if seconds == stored:
        return rows.with_only_columns(candles.c.open_at, *figures).order_by(candles.c.open_at).limit(limit)
    # So many rows hold `limit` whole candles, or all that there are: one more candle begins after them.
    parts = rows.order_by(candles.c.open_at).limit((limit + 1) * (seconds // stored)).subquery()
    opened = (parts.c.open_at - parts.c.open_at % literal(seconds * 1000)).label("opened")
    joined = (
        select(
            opened,
            func.min(parts.c.open_at).label("first"),
            func.max(parts.c.open_at).label("last"),
            func.max(parts.c.high).label("high"),
            func.min(parts.c.low).label("low"),
            func.sum(parts.c.samples).label("samples"),
        )
        .group_by(opened)
        .order_by(opened)
        .limit(limit)
        .subquery()
    )
    first_part, last_part = candles.alias("first_part"), candles.alias("last_part")
    return (
        select(joined.c.opened, first_part.c.open, joined.c.high, joined.c.low, last_part.c.close, joined.c.samples)
        .join(first_part, _is(first_part, coin, stored, joined.c.first))
        .join(last_part, _is(last_part, coin, stored, joined.c.last))
        .order_by(joined.c.opened)
    )


def _is(part: Any, coin: str, seconds: int, open_at: Any) -> Any:
    return and_(part.c.coin == coin, part.c.seconds == seconds, part.c.open_at == open_at)


def delete_older(seconds: int, before_ms: int, limit: int) -> Any:
    """A statement that deletes at most `limit` of the oldest candles that open before `before_ms`."""
    aged = select(*_KEY).where(candles.c.seconds == seconds, candles.c.open_at < before_ms)
    return delete(candles).where(tuple_(*_KEY).in_(aged.order_by(*_KEY).limit(limit)))


def around_candles(seconds: int, moment: int) -> Select[Any]:
    """When the newest candle up to `moment` (unix ms) opens, and the oldest one after it."""
    opened = candles.c.open_at
    newest = select(func.max(opened)).where(candles.c.seconds == seconds, opened <= moment)
    oldest = select(func.min(opened)).where(candles.c.seconds == seconds, opened > moment)
    return select(newest.scalar_subquery(), oldest.scalar_subquery())
