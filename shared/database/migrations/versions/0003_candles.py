"""Candles, made of the prices in the updates that are there.

The updates may be gigabytes, so they are read page by page. All is one transaction: after a crash it begins anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.database.candle_table import add_candles
from shared.database.candles import SERVICE
from shared.database.record import Record

revision = "0003"
down_revision = "0002"

_PAGE = 240  # updates read at once: 20 minutes, some MB


def upgrade() -> None:
    """Make the table and fill it."""
    if op.get_bind().dialect.name == "postgresql":
        # A recorder of an earlier version, which makes no candles, waits until they hold what it has written. First of
        # all, in the order in which a recorder locks: it inserts into `updates`, then changes `totals`.
        op.execute("LOCK TABLE updates IN SHARE ROW EXCLUSIVE MODE")
    name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column(
        "totals",
        sa.Column("pruned_to", sa.BigInteger, comment="unix milliseconds before which updates may have been deleted"),
    )
    # Where somebody has dropped the other tables, it may be there. It holds nothing that is not made anew.
    op.drop_table("candles", if_exists=True)
    op.create_table(
        "candles",
        sa.Column("seconds", sa.Integer, primary_key=True, autoincrement=False, comment="its length: 60 or 3600"),
        sa.Column("open_at", sa.BigInteger, primary_key=True, autoincrement=False, comment="unix milliseconds"),
        sa.Column("coin", name, primary_key=True),
        sa.Column("first_at", sa.BigInteger, nullable=False, comment="unix milliseconds of its first price"),
        sa.Column("last_at", sa.BigInteger, nullable=False, comment="unix milliseconds of its last price"),
        sa.Column("open", sa.Double, nullable=False, comment="USD, like the other prices"),
        sa.Column("high", sa.Double, nullable=False),
        sa.Column("low", sa.Double, nullable=False),
        sa.Column("close", sa.Double, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False, comment="prices that it was made of"),
        sqlite_with_rowid=False,
    )
    op.create_index("candles_by_coin", "candles", ["coin", "seconds", "open_at"])
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    columns = ("service", "epoch", "seq", "published_at", "data")
    updates = sa.table("updates", *map(sa.column, columns))
    order = [updates.c[name] for name in ("published_at", "epoch", "seq")]
    page = sa.select(updates).where(updates.c.service == SERVICE).order_by(*order).limit(_PAGE)
    statement = page
    while records := [Record(*row) for row in connection.execute(statement)]:
        add_candles(connection, records)
        statement = page.where(sa.tuple_(*order) > sa.tuple_(*records[-1].sort_key))


def downgrade() -> None:
    """Drop them."""
    op.drop_table("candles")
    op.drop_column("totals", "pruned_to")
