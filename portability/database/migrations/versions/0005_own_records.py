"""Indexes by subject: each export reads what this software stores about its subject.

CREATE INDEX blocks writes to its table for the time of one scan: seconds for a million requests.
"""

from __future__ import annotations

from alembic import op

revision = "0005_own_records"
down_revision = "0004_gaps"


def upgrade() -> None:
    """Add the indexes."""
    for table in ("export", "mandate", "authorisation"):
        op.create_index(f"{table}_subject_id_idx", table, ["subject_id"])
