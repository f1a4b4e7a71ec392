"""The audit log is shipped to storage, and a database that lost commits is recognised.

Two small tables are added, and on PostgreSQL a function: code of the previous release neither reads nor writes them.
Events that it records meanwhile are shipped with the others.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import UtcTime

revision = "0011_journal"
down_revision = "0010_counts"

HISTORY = """CREATE FUNCTION portability_history() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT system_identifier FROM pg_catalog.pg_control_system())::text
        || '-' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8);
EXCEPTION WHEN OTHERS THEN
    RETURN 'unknown';
END $$"""
"""A managed server may forbid these functions: then only the comparison with the journal finds lost commits."""


def upgrade() -> None:
    journal = op.create_table(
        "journal",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("shipped_id", sa.BigInteger, nullable=False),
        sa.Column("history", sa.String(64)),
    )
    op.bulk_insert(journal, [{"id": 1, "shipped_id": 0, "history": None}])
    op.create_table(
        "lost_event",
        sa.Column("hash", sa.String(64), primary_key=True),
        sa.Column("event_id", sa.BigInteger, nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("export_id", sa.String(32)),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("found_at", UtcTime, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(HISTORY)
