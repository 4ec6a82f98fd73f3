"""The tables of the first version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "updates",
        sa.Column("service", name, primary_key=True),
        sa.Column("epoch", name, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("published_at", sa.BigInteger, nullable=False, comment="unix milliseconds"),
        sa.Column("data", sa.Text, nullable=False, comment="the payload as JSON"),
    )
    op.create_index("updates_in_order", "updates", ["service", "published_at", "epoch", "seq"])
    op.create_table(
        "totals",
        sa.Column("service", name, primary_key=True),
        sa.Column("records", sa.BigInteger, nullable=False, comment="rows of updates"),
        sa.Column(
            "unrecorded",
            sa.BigInteger,
            nullable=False,
            comment="updates that were gone from the bus before they were read",
        ),
        sa.Column("last_save", sa.Float, comment="unix seconds of the last commit that inserted"),
    )


def downgrade() -> None:
    """Drop them, with all that was recorded."""
    op.drop_table("totals")
    op.drop_table("updates")
