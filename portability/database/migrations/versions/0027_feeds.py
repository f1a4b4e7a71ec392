"""Feeds: what a recipient already has, so that the next archive contains only the changes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime

revision = "0027_feeds"
down_revision = "0026_pulls"


def upgrade() -> None:
    op.add_column("export", sa.Column("feed_id", sa.String(32)))
    op.create_index("export_feed_id_idx", "export", ["feed_id"])
    op.create_table(
        "feed",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("profile", sa.String(16), nullable=False),
        sa.Column("subject_kind", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(200), nullable=False),
        sa.Column("subject_ref", sa.String(32), nullable=False),
        sa.Column("tenant", sa.String(200)),
        sa.Column("include", JsonType),
        sa.Column("formats", JsonType, nullable=False),
        sa.Column("authorisation_id", sa.String(32)),
        sa.Column("every_days", sa.Integer),
        sa.Column("until", UtcTime),
        sa.Column("created_at", UtcTime, nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("created_identity", sa.String(400)),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("export_id", sa.String(32)),
        sa.Column("next_at", UtcTime),
        sa.Column("kid", sa.String(64)),
        sa.Column("sealed_key", sa.LargeBinary),
        sa.Column("pseudonym_key", sa.String(64)),
        sa.Column("ended_at", UtcTime),
        sa.Column("ended_by", sa.String(200)),
    )
    for column in ("subject_id", "authorisation_id", "next_at"):
        op.create_index(f"feed_{column}_idx", "feed", [column])
    op.create_table(
        "feed_part",
        sa.Column("feed_id", sa.String(32), sa.ForeignKey("feed.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("export_id", sa.String(32), primary_key=True),
        sa.Column("volume", sa.BigInteger, primary_key=True),
        sa.Column("piece", sa.Integer, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "feed_pseudonym",
        sa.Column("feed_id", sa.String(32), sa.ForeignKey("feed.id"), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.UniqueConstraint("feed_id", "kind", "number"),
    )
