"""Counts of whole tables for the metrics are stored: a scrape does not read each export that has ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0023_history_counts"
down_revision = "0022_hot_indexes"


def upgrade() -> None:
    op.add_column("deployment", sa.Column("counts", JsonType))
    op.add_column("deployment", sa.Column("counted_at", UtcTime))
