"""What moves the deadline of a request: extensions and pauses."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.db import UtcTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "deadline_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("deadline_event_export_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("deadline_event_pkey")),
    )
    op.create_index(op.f("deadline_event_export_id_idx"), "deadline_event", ["export_id"], unique=False)
    op.create_index(op.f("deadline_event_kind_idx"), "deadline_event", ["kind"], unique=False)
