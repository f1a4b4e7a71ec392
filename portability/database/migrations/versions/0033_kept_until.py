"""The end of an archive is recorded when it becomes ready: another time in the settings moved it later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0033_kept_until"
down_revision = "0032_transfers_of_a_consent"


def upgrade() -> None:
    op.add_column("export", sa.Column("kept_until", UtcTime))
    op.add_column("export", sa.Column("kept_since", UtcTime))
