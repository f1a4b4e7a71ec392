"""Downloads that run are rows, so that the audit log has one event for each download and not for each request.

The table is new: code of the previous release neither reads nor writes it, and records each request as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0013_downloads"
down_revision = "0012_identities"


def upgrade() -> None:
    op.create_table(
        "download",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("claim_sha256", sa.String(64), nullable=False),
        sa.Column("link_id", sa.String(32), nullable=False),
        sa.Column("export_id", sa.String(32), nullable=False),
        sa.Column("volume", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("device", sa.String(100), nullable=False),
        sa.Column("by_storage", sa.Boolean, nullable=False),
        sa.Column("is_repeated", sa.Boolean, nullable=False),
        sa.Column("requests", sa.Integer, nullable=False),
        sa.Column("running", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("spans", JsonType, nullable=False),
        sa.Column("began_at", UtcTime, nullable=False),
        sa.Column("seen_at", UtcTime, nullable=False),
        sa.Column("ended_at", UtcTime),
    )
    op.create_index(None, "download", ["claim_sha256"])
    op.create_index(None, "download", ["ended_at", "seen_at"])
