"""An export keeps the maps of its sources: their texts are stored once, by their SHA-256.

The column is nullable and the table is new: code of the previous release neither reads nor writes them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0018_source_maps"
down_revision = "0016_notices"


def upgrade() -> None:
    op.add_column("export", sa.Column("maps", JsonType))
    op.create_table(
        "source_map",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
    )
