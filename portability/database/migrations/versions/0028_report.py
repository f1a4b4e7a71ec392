"""Counts of the privacy officer's report are stored: a report does not read each request that has ended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0028_report"
down_revision = "0027_feeds"


def upgrade() -> None:
    op.add_column("deployment", sa.Column("report_counts", JsonType))
    op.add_column("deployment", sa.Column("report_counted_at", UtcTime))
