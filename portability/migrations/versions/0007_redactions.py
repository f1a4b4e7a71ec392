"""Counts of redactions by rule, pseudonyms of other people, and the end of the Data Act's notice period."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.db import JsonType, UtcTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "pseudonym",
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("pseudonym_export_id_fkey")),
        sa.PrimaryKeyConstraint("export_id", "kind", "digest", name=op.f("pseudonym_pkey")),
        sa.UniqueConstraint("export_id", "kind", "number", name=op.f("pseudonym_export_id_kind_number_key")),
    )
    op.add_column("export", sa.Column("pseudonym_key", sa.String(length=64), nullable=True))
    op.add_column("export", sa.Column("notice_ends_at", UtcTime(), nullable=True))
    op.add_column("ledger", sa.Column("redactions", JsonType, nullable=True))
    op.add_column("ledger", sa.Column("findings", JsonType, nullable=True))
