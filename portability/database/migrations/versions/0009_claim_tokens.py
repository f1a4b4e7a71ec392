"""A claim has a random token beside its fence, and so have the volumes and copies that it begins.

The columns are nullable: code of the previous release neither reads nor writes them. Adding them changes only the
catalogue, in PostgreSQL under a lock of milliseconds (ACCESS EXCLUSIVE on each of the tables).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_claim_tokens"
down_revision = "0008_recipients"


def upgrade() -> None:
    for table in ("slice", "volume", "transfer", "transfer_copy"):
        op.add_column(table, sa.Column("token", sa.String(32)))
