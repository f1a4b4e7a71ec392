"""What is left of ended exports and transfers: each minute the clock read all volumes, copies and ended exports for it.

It also read all records beside them for those whose time is over.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0036_what_is_left"
down_revision = "0035_volumes_being_written"
DISCARDED = "state IN ('cancelled', 'denied', 'expired', 'failed', 'recalled')"
INDEXES: tuple[tuple[str, str, list[str], str | None], ...] = (
    (
        "export_left_idx",
        "export",
        ["id"],
        f"{DISCARDED} AND (empty_since IS NULL OR empty_since <> ended_at)",
    ),
    ("transfer_left_idx", "transfer", ["state", "expires_at"], "NOT emptied"),
    ("export_kept_idx", "export", ["kept_until"], "state = 'ready'"),
    ("feed_archive_export_id_idx", "feed_archive", ["export_id"], None),
    ("link_transfer_id_idx", "link", ["transfer_id"], "transfer_id IS NOT NULL"),
    ("received_transfer_newest_idx", "received_transfer", ["created_at", "id"], None),
    ("feed_open_idx", "feed", ["until"], "ended_at IS NULL"),
    ("received_transfer_receipt_idx", "received_transfer", ["created_at"], "receipt = 'queued'"),
    ("review_open_idx", "review", ["id"], "state = 'open'"),
    ("referral_open_idx", "referral", ["due_at"], "state = 'open'"),
    ("approval_alone_idx", "approval", ["decided_at"], "basis = 'break_glass'"),
    ("recall_open_idx", "recall", ["opened_at"], "closed_at IS NULL"),
    ("code_address_idx", "code", ["created_at"], "subject_kind IS NOT NULL"),
    ("mandate_ended_idx", "mandate", ["ended_at"], None),
    ("mandate_expired_idx", "mandate", ["expires_at"], None),
    ("instruction_withdrawn_idx", "instruction", ["withdrawn_at"], None),
    ("authorisation_revoked_idx", "authorisation", ["revoked_at"], None),
    ("authorisation_expired_idx", "authorisation", ["expires_at"], None),
    ("authorisation_used_idx", "authorisation", ["used_at"], None),
    ("feed_ended_idx", "feed", ["ended_at"], None),
    ("received_transfer_ended_idx", "received_transfer", ["ended_at"], None),
    ("legal_hold_released_idx", "legal_hold", ["released_at"], None),
    ("legal_hold_until_idx", "legal_hold", ["until"], None),
)


def upgrade() -> None:
    op.add_column("export", sa.Column("empty_since", UtcTime))
    op.add_column("transfer", sa.Column("emptied", sa.Boolean, nullable=False, server_default=sa.false()))
    for name, table, columns, condition in INDEXES:
        where = sa.text(condition) if condition else None
        op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)
