"""When the consent of a feed ends: each round the clock read all open feeds with their consents for it.

And counts of the requests that failed: each scrape of the metrics read all of them, three times.
And an index for pages of notices to recipients.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0039_ends_of_consents"
down_revision = "0038_lookups"
SERVING = "ended_at IS NULL AND authorisation_id IS NOT NULL"


def upgrade() -> None:
    op.add_column("feed", sa.Column("consent_ends_at", UtcTime))
    where = sa.text(SERVING)
    op.create_index("feed_consent_ends_idx", "feed", ["consent_ends_at"], postgresql_where=where, sqlite_where=where)
    op.add_column("deployment", sa.Column("failed_counts", JsonType))
    op.add_column("deployment", sa.Column("failed_counted_at", UtcTime))
    op.create_index("recipient_notice_oldest_idx", "recipient_notice", ["created_at", "id"])
