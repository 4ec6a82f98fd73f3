"""Charts: the candles, as those read them who draw, and those who delete old ones."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select, tuple_

from shared.database.candle_table import around_candles, delete_older, page_of
from shared.database.candles import SERVICE
from shared.database.database import Database
from shared.database.tables import candles, totals, updates

_NOTED = (
    select(updates.c.published_at)
    .join(totals, tuple_(totals.c.service, totals.c.epoch, totals.c.seq) == tuple_(*updates.primary_key))
    .where(updates.c.service == SERVICE)
)
"""When the update that was recorded last was published. A restored database may not know."""
_NEWEST = select(func.max(updates.c.published_at)).where(updates.c.service == SERVICE)


class Bar(NamedTuple):
    """One candle of a chart: prices in USD, and how many were recorded."""

    open_at: int
    """Unix milliseconds."""
    open: float
    high: float
    low: float
    close: float
    samples: int


class ChartPage(NamedTuple):
    """Candles, oldest first."""

    bars: list[Bar]
    recorded_to: int | None
    """When the prices that were recorded last were published, in unix ms; None if there are none.

    A candle that ends by then is complete. It is the last one in order of recording, not by time: a clock that was set
    ahead for a while completes nothing.
    """
    known: bool
    """Whether the coin has any candle, of whatever time."""


class Charts:
    """The candles of a database. Every method raises DatabaseError if it fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, coin: str, seconds: int, *, first: int, last: int, limit: int) -> ChartPage:
        """At most `limit` candles of `seconds`, a multiple of a minute or of an hour, that open from `first` to `last`.

        Both are unix ms, included, and multiples of the candle's length.
        """
        async with self._database.begun() as connection:
            # Before the candles: what is recorded in between completes none of them.
            recorded_to = (await connection.execute(_NOTED)).scalar()
            if recorded_to is None:
                recorded_to = (await connection.execute(_NEWEST)).scalar()
            rows = (await connection.execute(page_of(coin, seconds, first, last, limit))).all()
            any_of_it = select(candles.c.coin).where(candles.c.coin == coin).limit(1)
            known = bool(rows) or (await connection.execute(any_of_it)).first() is not None
        return ChartPage([Bar(*row) for row in rows], recorded_to, known)

    async def prune(self, seconds: int, before_ms: int, limit: int) -> int:
        """Delete at most `limit` of the oldest candles of `seconds`, 60 or 3600, that open before `before_ms`.

        Returns how many.
        """
        async with self._database.begun() as connection:
            return (await connection.execute(delete_older(seconds, before_ms, limit))).rowcount

    async def around(self, seconds: int, moment: int) -> tuple[int | None, int | None]:
        """When the newest candle of `seconds` up to `moment` opens, and the oldest after it. Unix ms, or None."""
        async with self._database.begun() as connection:
            before, after = (await connection.execute(around_candles(seconds, moment))).one()
        return before, after
