"""A transfer's list of volumes is a document of its own, receipts prove possession, and recipients get new keys.

The columns are nullable: code of the previous release neither reads nor writes them. A transfer that it has offered
keeps its statement with the list in it, and a copy that it has encrypted needs no proof.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0015_statements"
down_revision = "0014_messages"


def upgrade() -> None:
    op.add_column("transfer", sa.Column("closing", sa.String(32)))
    op.add_column("transfer", sa.Column("volumes", sa.Integer))
    op.add_column("transfer", sa.Column("nonce", sa.String(64)))
    op.add_column("transfer", sa.Column("possession", sa.String(64)))
    op.add_column("transfer", sa.Column("age_key", sa.String(100)))
    op.add_column("recipient", sa.Column("proven_at", UtcTime))
    op.add_column("recipient", sa.Column("rotated_at", UtcTime))
    op.add_column("transfer_copy", sa.Column("possession", sa.String(64)))
