"""People who work on requests: who has taken a request, the search of the desk, and the search of the audit log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text

revision = "0024_desk"
down_revision = "0023_history_counts"


def upgrade() -> None:
    op.add_column("export", sa.Column("assignee", sa.String(200)))
    where = text("assignee IS NOT NULL")
    op.create_index("export_assignee_idx", "export", ["assignee", "due_at"], postgresql_where=where, sqlite_where=where)
    op.create_index("audit_event_actor_idx", "audit_event", ["actor", "id"])
    op.create_index("audit_event_action_idx", "audit_event", ["action", "id"])
    op.create_index("audit_event_at_idx", "audit_event", ["at"])
    for column in ("id", "subject_ref"):
        begins = {column: "varchar_pattern_ops"}
        op.create_index(f"export_{column}_begin_idx", "export", [column], postgresql_ops=begins)
    if op.get_bind().dialect.name == "postgresql":
        words = [text("to_tsvector('simple', reason)")]
        op.create_index("export_reason_words_idx", "export", words, postgresql_using="gin")
