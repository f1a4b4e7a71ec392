"""Incidents: how often something happened that should not; and when the storage was swept."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.db import UtcTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "incident",
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("last_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("incident_pkey")),
    )
    op.add_column("deployment", sa.Column("swept_at", UtcTime(), nullable=True))
