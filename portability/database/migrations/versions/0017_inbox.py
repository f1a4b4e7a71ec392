"""Transfers of other providers: senders, received transfers, and the differences that imports would make.

The tables are new: code of the previous release neither reads nor writes them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0017_inbox"
down_revision = "0016_notices"


def upgrade() -> None:
    op.create_table(
        "sender",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("issuer", sa.String(500), nullable=False),
        sa.Column("jwks_url", sa.Text, nullable=False),
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("removed_by", sa.String(200)),
        sa.Column("removed_at", UtcTime),
    )
    op.create_table(
        "received_transfer",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("sender_id", sa.String(32), sa.ForeignKey("sender.id"), nullable=False),
        sa.Column("webhook_id", sa.String(200), nullable=False),
        sa.Column("sent_id", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("sealed", sa.Text),
        sa.Column("offer_ends_at", UtcTime, nullable=False),
        sa.Column("statement", sa.Text),
        sa.Column("receipt_url", sa.Text),
        sa.Column("possession", sa.String(64)),
        sa.Column("profile", sa.String(16)),
        sa.Column("archive_kind", sa.String(16)),
        sa.Column("archive_subject", sa.String(200)),
        sa.Column("archive_export", sa.String(200)),
        sa.Column("revision", sa.Integer),
        sa.Column("consent", sa.String(200)),
        sa.Column("volumes", sa.Integer),
        sa.Column("files", sa.Integer),
        sa.Column("bytes", sa.BigInteger),
        sa.Column("subject_kind", sa.String(16)),
        sa.Column("subject_id", sa.String(200)),
        sa.Column("subject_ref", sa.String(32)),
        sa.Column("tenant", sa.String(200)),
        sa.Column("company", sa.String(200)),
        sa.Column("on_conflict", sa.String(8)),
        sa.Column("assigned_by", sa.String(200)),
        sa.Column("comparison", sa.String(32)),
        sa.Column("report", JsonType),
        sa.Column("import_id", sa.String(32)),
        sa.Column("decided_by", sa.String(200)),
        sa.Column("decided_at", UtcTime),
        sa.Column("reason", sa.String(64)),
        sa.Column("error_code", sa.String(64)),
        sa.Column("notice", sa.String(16)),
        sa.Column("noticed_at", UtcTime),
        sa.Column("receipt", sa.String(16)),
        sa.Column("receipted_at", UtcTime),
        sa.Column("token", sa.String(32)),
        sa.Column("lease_until", UtcTime),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", UtcTime),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("fetched_at", UtcTime),
        sa.Column("ended_at", UtcTime),
        sa.UniqueConstraint("sender_id", "webhook_id"),
        sa.UniqueConstraint("sender_id", "sent_id"),
    )
    op.create_table(
        "received_difference",
        sa.Column("received_id", sa.String(32), sa.ForeignKey("received_transfer.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("dataset", sa.String(250), nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
    )
    op.create_index(None, "sender", ["issuer"])
    op.create_index(None, "received_transfer", ["state"])
    op.create_index(None, "received_transfer", ["subject_id"])
