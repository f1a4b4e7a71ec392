"""Requests without an answer, the newest first: sorted so, the desk read all requests until it had found enough."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031_unanswered_newest"
down_revision = "0030_feed_changes"
UNANSWERED = sa.text("state IN ('queued', 'review', 'running', 'closing', 'failed') AND erased_at IS NULL")


def upgrade() -> None:
    op.create_index(
        "export_unanswered_newest_idx",
        "export",
        ["created_at", "id"],
        postgresql_where=UNANSWERED,
        sqlite_where=UNANSWERED,
    )
