"""The outcome of exports, remarkable records and withheld values."""

from __future__ import annotations

from alembic import op
from sqlalchemy import Column, String

from portability.database.engine import JsonType

revision = "0002_outcome"
down_revision = "0001_first_schema"


def upgrade() -> None:
    op.add_column("export", Column("outcome_own", String(16)))
    op.add_column("export", Column("outcome_processor", String(16)))
    op.add_column("ledger", Column("remarks", JsonType))
    op.add_column("ledger", Column("withheld", JsonType))
