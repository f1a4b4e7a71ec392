"""Feeds read only what a source states as changed, and report their archives."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0030_feed_changes"
down_revision = "0029_schedules"


def upgrade() -> None:
    op.add_column("feed", sa.Column("progress", JsonType))
    op.add_column("feed_part", sa.Column("lookup", sa.LargeBinary))
    op.create_table(
        "feed_step",
        sa.Column("feed_id", sa.String(32), sa.ForeignKey("feed.id"), primary_key=True),
        sa.Column("export_id", sa.String(32), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "feed_archive",
        sa.Column("feed_id", sa.String(32), sa.ForeignKey("feed.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("export_id", sa.String(32), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("datasets", JsonType, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("began_at", UtcTime, nullable=False),
        sa.Column("ready_at", UtcTime, nullable=False),
        sa.Column("cursor", sa.Text, nullable=False),
    )
