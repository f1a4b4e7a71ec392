"""Rows say which person asked, decided and confirmed, whatever the role, and sessions of the pages are rows.

The columns are nullable and the table is new: code of the previous release neither reads nor writes them. For rows
that it writes, the id in `requested_by`, `asked_by` and `created_by` decides who the person is.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0012_identities"
down_revision = "0011_journal"

IDENTITIES = (
    ("export", "requested_identity"),
    ("approval", "asked_identity"),
    ("approval", "decided_identity"),
    ("recipient", "created_identity"),
)


def upgrade() -> None:
    for table, column in IDENTITIES:
        op.add_column(table, sa.Column(column, sa.String(400)))
    op.add_column("authorisation", sa.Column("confirmed_by", sa.String(200)))
    op.add_column("authorisation", sa.Column("confirmed_at", UtcTime))
    op.create_table(
        "session",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("provider_session", sa.String(64)),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("device", sa.String(100), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("seen_at", UtcTime, nullable=False),
        sa.Column("expires_at", UtcTime, nullable=False),
        sa.UniqueConstraint("token_sha256"),
    )
    for column in ("person", "provider_session", "expires_at"):
        op.create_index(None, "session", [column])
