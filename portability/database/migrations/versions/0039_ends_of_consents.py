"""When the consent of a feed ends: each round the clock read all open feeds with their consents for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0039_ends_of_consents"
down_revision = "0038_lookups"
SERVING = "ended_at IS NULL AND authorisation_id IS NOT NULL"


def upgrade() -> None:
    op.add_column("feed", sa.Column("consent_ends_at", UtcTime))
    where = sa.text(SERVING)
    op.create_index("feed_consent_ends_idx", "feed", ["consent_ends_at"], postgresql_where=where, sqlite_where=where)
