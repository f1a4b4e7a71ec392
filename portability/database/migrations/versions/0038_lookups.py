"""Archives of feeds that their recipients may lack: each round the clock read all archives and consents for them.

And what an erasure, a purge or a page looks up: it read all exports, approvals, instructions or keys for one row.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0038_lookups"
down_revision = "0037_restored_dump"
INDEXES: tuple[tuple[str, str, list[str], str | None], ...] = (
    ("feed_archive_unsettled_idx", "feed_archive", ["feed_id", "number"], "NOT settled"),
    ("gap_newest_idx", "gap", ["exporter", "id"], None),
    ("export_requested_by_idx", "export", ["requested_by"], None),
    ("approval_asked_by_idx", "approval", ["asked_by"], None),
    ("instruction_contact_id_idx", "instruction", ["contact_id"], None),
    ("idempotency_key_export_id_idx", "idempotency_key", ["export_id"], None),
    ("received_transfer_import_idx", "received_transfer", ["import_id"], "import_id IS NOT NULL"),
)


def upgrade() -> None:
    op.add_column("feed_archive", sa.Column("settled", sa.Boolean, nullable=False, server_default=sa.false()))
    for name, table, columns, condition in INDEXES:
        where = sa.text(condition) if condition else None
        op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)
