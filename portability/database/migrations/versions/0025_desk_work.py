"""Notes of people who work on requests, the lists that they have saved, and who they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0025_desk_work"
down_revision = "0024_desk"


def upgrade() -> None:
    op.create_table(
        "desk_note",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("export_id", sa.String(32), sa.ForeignKey("export.id"), nullable=False),
        sa.Column("about", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("written_by", sa.String(200), nullable=False),
        sa.Column("written_at", UtcTime, nullable=False),
    )
    op.create_index(None, "desk_note", ["export_id"])
    op.create_table(
        "desk_view",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("owner", sa.String(400), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("sort", sa.String(20), nullable=False),
        sa.Column("assignee", sa.String(200), nullable=False),
        sa.Column("saved_by", sa.String(200), nullable=False),
        sa.Column("saved_at", UtcTime, nullable=False),
        sa.UniqueConstraint("owner", "name"),
    )
    op.create_table(
        "colleague",
        sa.Column("id", sa.String(200), primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("logged_in_at", UtcTime, nullable=False),
    )
    op.create_index(None, "colleague", ["logged_in_at"])
