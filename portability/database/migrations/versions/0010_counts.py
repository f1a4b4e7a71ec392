"""Volumes have the counts of their datasets, and the ETag of their object.

The columns are nullable: code of the previous release neither reads nor writes them. Adding them changes only the
catalogue, in PostgreSQL under a lock of milliseconds (ACCESS EXCLUSIVE on `volume`).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType

revision = "0010_counts"
down_revision = "0009_claim_tokens"


def upgrade() -> None:
    op.add_column("volume", sa.Column("counts", JsonType))
    op.add_column("volume", sa.Column("etag", sa.String(200)))
