"""Recipients are informed of changes, and acknowledge each by signature: a table of its own, which outlives transfers.

It has no personal data, and no foreign key to exports and transfers: an erasure deletes the transfers of a person.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0016_notices"
down_revision = "0015_statements"


def upgrade() -> None:
    op.create_table(
        "recipient_notice",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("export_id", sa.String(32), nullable=False),
        sa.Column("transfer_id", sa.String(32), nullable=False),
        sa.Column("recipient_id", sa.String(32), sa.ForeignKey("recipient.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("acknowledgement", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", UtcTime),
        sa.Column("lease_until", UtcTime),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("settled_at", UtcTime),
        sa.UniqueConstraint("transfer_id", "kind", "revision"),
    )
    op.create_index(None, "recipient_notice", ["state", "created_at"])
    op.create_index(None, "recipient_notice", ["export_id"])
    op.create_index(None, "recipient_notice", ["recipient_id"])
