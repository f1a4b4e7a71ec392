"""Secrets of sources that change while they are used, such as refresh tokens, are stored sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0021_source_secrets"
down_revision = "0018_source_maps"


def upgrade() -> None:
    op.create_table(
        "source_secret",
        sa.Column("name", sa.String(200), primary_key=True),
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("updated_at", UtcTime, nullable=False),
    )
