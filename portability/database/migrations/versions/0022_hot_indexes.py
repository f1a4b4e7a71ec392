"""Hot statements read indexes of living states only: what they cost does not grow with the exports that have ended."""

from __future__ import annotations

from alembic import op
from sqlalchemy import TextClause, text

revision = "0022_hot_indexes"
down_revision = "0021_unchained_events"

WAITED_SINCE = text("coalesce(claimed_at, created_at)")
UNANSWERED = "state IN ('queued', 'review', 'running', 'closing', 'failed') AND erased_at IS NULL"
DISCARDED = "state IN ('cancelled', 'denied', 'expired', 'failed', 'recalled')"
PARTIAL: tuple[tuple[str, str, list[str | TextClause], str], ...] = (
    ("slice_next_idx", "slice", ["tenant", WAITED_SINCE], "state = 'open' AND NOT (large OR further)"),
    ("slice_next_yielding_idx", "slice", ["tenant", WAITED_SINCE], "state = 'open' AND (large OR further)"),
    ("slice_leased_idx", "slice", ["tenant"], "lease_until IS NOT NULL"),
    ("slice_open_idx", "slice", ["created_at"], "state = 'open'"),
    ("export_unanswered_idx", "export", ["due_at", "id"], UNANSWERED),
    ("export_ready_idx", "export", ["ended_at"], "state = 'ready'"),
    ("export_discarded_idx", "export", ["ended_at"], DISCARDED),
)


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    for name, table, columns, where in PARTIAL:
        if WAITED_SINCE in columns and not is_postgresql:
            continue
        op.create_index(name, table, columns, postgresql_where=text(where), sqlite_where=text(where))
    op.create_index("export_newest_idx", "export", ["created_at", "id"])
    op.create_index("export_newest_of_tenant_idx", "export", ["tenant", "created_at", "id"])
