"""Messages about consents and downloads, countersigned consents, and turns between people.

The columns are nullable or have a default: code of the previous release neither reads nor writes them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0014_messages"
down_revision = "0013_downloads"


def upgrade() -> None:
    op.add_column("notification", sa.Column("device", sa.String(100)))
    op.add_column("slice", sa.Column("further", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("authorisation", sa.Column("created_identity", sa.String(400)))
    op.add_column("authorisation", sa.Column("document", sa.String(200)))
    op.add_column("authorisation", sa.Column("countersigned_by", sa.String(200)))
    op.add_column("authorisation", sa.Column("countersigned_at", UtcTime))
