"""Alembic's entry point: runs the migrations on the connection that `migrations.upgrade` passes."""

from __future__ import annotations

from alembic import context

from portability.database.models import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot ALTER a constraint: alembic copies the table instead.
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
