"""Schedules: a person asks for copies in advance."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0029_schedules"
down_revision = "0028_report"


def upgrade() -> None:
    op.create_table(
        "schedule",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("profile", sa.String(16), nullable=False),
        sa.Column("subject_kind", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(200), nullable=False),
        sa.Column("subject_ref", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(200)),
        sa.Column("include", JsonType),
        sa.Column("formats", JsonType, nullable=False),
        sa.Column("tell_tenants", sa.Boolean, nullable=False),
        sa.Column("language", sa.String(16)),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_identity", sa.String(400)),
        sa.Column("export_id", sa.String(32), nullable=False),
        sa.Column("next_at", UtcTime),
        sa.Column("ended_at", UtcTime),
        sa.Column("end_reason", sa.String(16)),
    )
    stands = sa.text("ended_at IS NULL")
    for column in ("subject_id", "ended_at"):
        op.create_index(f"schedule_{column}_idx", "schedule", [column])
    op.create_index("schedule_next_idx", "schedule", ["next_at"], postgresql_where=stands, sqlite_where=stands)
    op.create_index(
        "schedule_person_idx", "schedule", ["subject_id"], unique=True, postgresql_where=stands, sqlite_where=stands
    )
