"""Volumes that are being written: each minute the clock read all volumes for those of revisions that were given up."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035_volumes_being_written"
down_revision = "0034_earlier_revision"
WRITING = sa.text("state = 'writing'")


def upgrade() -> None:
    op.create_index("volume_writing_idx", "volume", ["export_id"], postgresql_where=WRITING, sqlite_where=WRITING)
