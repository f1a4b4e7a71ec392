"""Gaps name their record, and the ledger counts corrections.

All columns are nullable or have a server default: code of the previous release neither reads nor writes them. Adding
them changes only the catalogue, in PostgreSQL under a lock of milliseconds (ACCESS EXCLUSIVE on `gap` and `ledger`).
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType

revision = "0004_gaps"
down_revision = "0003_clocks"


def upgrade() -> None:
    op.add_column("ledger", sa.Column("corrections", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("gap", sa.Column("record", JsonType))
    op.add_column("gap", sa.Column("fields", JsonType))
