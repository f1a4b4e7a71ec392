"""What checks of the sources found, and what an export was planned with.

The column is nullable and the table is new: code of the previous release neither reads nor writes them, and its exports
say nothing about coverage.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0019_coverage"
down_revision = "0018_source_maps"


def upgrade() -> None:
    op.add_column("export", sa.Column("coverage", JsonType))
    op.create_table(
        "source_check",
        sa.Column("source", sa.String(100), primary_key=True),
        sa.Column("declaration", sa.String(64)),
        sa.Column("described", sa.Boolean),
        sa.Column("undecided", sa.Integer),
        sa.Column("faults", sa.Integer),
        sa.Column("findings", JsonType),
        sa.Column("undecided_since", UtcTime),
        sa.Column("checked_at", UtcTime),
        sa.Column("tried_at", UtcTime),
        sa.Column("error_code", sa.String(64)),
        sa.Column("asked_at", UtcTime),
    )
