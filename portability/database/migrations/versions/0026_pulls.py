"""Pulls: what providers ask people for, their tokens, the copies that they fetch; where people return to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0026_pulls"
down_revision = "0025_desk_work"


def upgrade() -> None:
    op.add_column("recipient", sa.Column("redirect_uris", JsonType))
    op.add_column("authorisation", sa.Column("dpop_jkt", sa.String(43)))
    op.create_table(
        "pull_request",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("handle_sha256", sa.String(64), nullable=False),
        sa.Column("recipient_id", sa.String(32), sa.ForeignKey("recipient.id"), nullable=False),
        sa.Column("redirect_uri", sa.Text, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("code_challenge", sa.String(43), nullable=False),
        sa.Column("dpop_jkt", sa.String(43), nullable=False),
        sa.Column("datasets", JsonType, nullable=False),
        sa.Column("until", UtcTime),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("expires_at", UtcTime, nullable=False),
        sa.Column("decided_at", UtcTime),
        _consent(nullable=True),
        sa.Column("code_sha256", sa.String(64)),
        sa.Column("code_expires_at", UtcTime),
        sa.Column("code_used_at", UtcTime),
        sa.UniqueConstraint("handle_sha256"),
        sa.UniqueConstraint("code_sha256"),
    )
    op.create_table(
        "pull_token",
        sa.Column("token_sha256", sa.String(64), primary_key=True),
        _consent(),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("expires_at", UtcTime, nullable=False),
        sa.Column("used_at", UtcTime),
    )
    op.create_table(
        "pull",
        sa.Column("id", sa.String(32), primary_key=True),
        _consent(),
        sa.Column("export_id", sa.String(32), sa.ForeignKey("export.id"), nullable=False),
        sa.Column("transfer_id", sa.String(32), sa.ForeignKey("transfer.id")),
        sa.Column("error_code", sa.String(64)),
        sa.Column("created_at", UtcTime, nullable=False),
    )
    indexes = (
        ("pull_request", ("authorisation_id", "expires_at")),
        ("pull_token", ("authorisation_id", "expires_at")),
        ("pull", ("authorisation_id", "export_id", "transfer_id")),
    )
    for table, columns in indexes:
        for column in columns:
            op.create_index(None, table, [column])


def _consent(*, nullable: bool = False) -> sa.Column[str]:
    consent = sa.ForeignKey("authorisation.id", ondelete="CASCADE")
    return sa.Column("authorisation_id", sa.String(32), consent, nullable=nullable)
