"""The tables. Migrations create them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Float, Index, Integer, MetaData, Table, Text

# PostgreSQL would sort by the server's locale; pages need the same order in every database and in Python.
_NAME = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData()

updates = Table(
    "updates",
    metadata,
    Column("service", _NAME, primary_key=True),
    Column("epoch", _NAME, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("published_at", BigInteger, nullable=False, comment="unix milliseconds"),
    Column("data", Text, nullable=False, comment="the payload as JSON"),
    Index("updates_in_order", "service", "published_at", "epoch", "seq"),
)
"""One row per update."""

totals = Table(
    "totals",
    metadata,
    Column("service", _NAME, primary_key=True),
    Column("records", BigInteger, nullable=False, comment="rows of updates"),
    Column(
        "unrecorded", BigInteger, nullable=False, comment="updates that were gone from the bus before they were read"
    ),
    Column("last_save", Float, comment="unix seconds of the last commit that inserted"),
    Column("epoch", _NAME, comment="epoch of the update recorded last"),
    Column("seq", BigInteger, comment="seq of that update"),
    Column("pruned_to", BigInteger, comment="unix milliseconds before which updates may have been deleted"),
)
"""One row per service, updated in the transactions that change `updates`. Counting millions of rows takes seconds."""

candles = Table(
    "candles",
    metadata,
    Column("seconds", Integer, primary_key=True, autoincrement=False, comment="its length: 60 or 3600"),
    Column("open_at", BigInteger, primary_key=True, autoincrement=False, comment="unix milliseconds"),
    Column("coin", _NAME, primary_key=True),
    Column("first_at", BigInteger, nullable=False, comment="unix milliseconds of its first price"),
    Column("last_at", BigInteger, nullable=False, comment="unix milliseconds of its last price"),
    Column("open", Double, nullable=False, comment="USD, like the other prices"),
    Column("high", Double, nullable=False),
    Column("low", Double, nullable=False),
    Column("close", Double, nullable=False),
    Column("samples", Integer, nullable=False, comment="prices that it was made of"),
    Index("candles_by_coin", "coin", "seconds", "open_at"),
    sqlite_with_rowid=False,
)
"""One row per coin and minute, and one per coin and hour, changed in the transactions that insert into `updates`.

Sorted by time: an update changes the candles of all coins, and they lie side by side.
"""
