"""Transfers by their authorisation, and unfinished copies: each was looked up among all transfers or copies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032_transfers_of_a_consent"
down_revision = "0031_unanswered_newest"
WRITING = sa.text("state = 'writing'")


def upgrade() -> None:
    op.create_index("transfer_authorisation_id_idx", "transfer", ["authorisation_id"])
    op.create_index(
        "transfer_copy_writing_idx", "transfer_copy", ["transfer_id"], postgresql_where=WRITING, sqlite_where=WRITING
    )
