"""The tables. Migrations create them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, MetaData, Table, Text

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
)
"""One row per service, updated in the transactions that change `updates`. Counting millions of rows takes seconds."""
