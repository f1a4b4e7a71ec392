"""Notifications: what people are told about their export, queued with the change that it tells of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.db import UtcTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "notification",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("occasion", sa.String(length=64), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", UtcTime(), nullable=True),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("sent_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("notification_export_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("notification_pkey")),
        sa.UniqueConstraint("export_id", "kind", "occasion", name=op.f("notification_export_id_kind_occasion_key")),
    )
    op.create_index(op.f("notification_state_created_at_idx"), "notification", ["state", "created_at"], unique=False)
