"""What a revision changes is kept until it closes: one that fails ended the whole archive, which had been ready."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0034_earlier_revision"
down_revision = "0033_kept_until"


def upgrade() -> None:
    op.create_table(
        "earlier_revision",
        sa.Column("export_id", sa.String(32), sa.ForeignKey("export.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("volume_id", sa.BigInteger, nullable=False),
        sa.Column("contents", JsonType, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
    )
