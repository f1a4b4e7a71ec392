"""Decisions of officers on unclear records, and referrals to tenants with their answers.

New tables, and columns with a server default: code of the previous release neither reads nor writes them. Adding the
columns changes only the catalogue, in PostgreSQL under a lock of milliseconds (ACCESS EXCLUSIVE on `export`).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0006_decisions"
down_revision = "0005_own_records"


def upgrade() -> None:
    op.create_table(
        "review",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("subject_kind", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(200), nullable=False),
        sa.Column("tenant", sa.String(200)),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("at_tenant", sa.String(200)),
        sa.Column("exporter", sa.String(100), nullable=False),
        sa.Column("dataset", sa.String(100), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("found_at", UtcTime, nullable=False),
        sa.Column("seen_at", UtcTime, nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("reason", sa.String(16)),
        sa.Column("decided_by", sa.String(200)),
        sa.Column("decided_at", UtcTime),
    )
    op.create_table(
        "referral",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("export_id", sa.String(32), sa.ForeignKey("export.id"), nullable=False),
        sa.Column("tenant", sa.String(200), nullable=False),
        sa.Column("people", JsonType, nullable=False),
        sa.Column("ground", sa.String(16)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(16)),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("due_at", UtcTime),
        sa.Column("answered_at", UtcTime),
        sa.Column("answered_by", sa.String(200)),
        sa.Column("applied_at", UtcTime),
        sa.UniqueConstraint("export_id", "tenant"),
    )
    op.create_index("referral_tenant_idx", "referral", ["tenant"])
    op.add_column("export", sa.Column("tell_tenants", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("export", sa.Column("erasure_ground", sa.String(16)))
    op.create_index("review_subject_id_idx", "review", ["subject_id"])
    op.add_column("export", sa.Column("reviewed", sa.Integer, nullable=False, server_default="0"))
