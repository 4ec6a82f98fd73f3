"""Run by Alembic for `shared.database.schema.upgrade`, on the connection that it was given."""

from __future__ import annotations

from alembic import context

from shared.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transaction_per_migration=False
)
context.run_migrations()
