"""The position that was recorded last, per service: by times alone it is not known once a clock was set back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add it; it is unknown until the next update is recorded."""
    name = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("totals", sa.Column("epoch", name, comment="epoch of the update recorded last"))
    op.add_column("totals", sa.Column("seq", sa.BigInteger, comment="seq of that update"))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("totals", "seq")
    op.drop_column("totals", "epoch")
