"""The name of the history tells a database that a dump was restored into from the one that was dumped.

Both may be in one cluster, on one timeline: the restored one went on as if nothing were lost.
"""

from __future__ import annotations

from alembic import op

revision = "0037_restored_dump"
down_revision = "0036_what_is_left"

HISTORY = """CREATE OR REPLACE FUNCTION portability_history() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    cluster text;
BEGIN
    BEGIN
        cluster := (SELECT system_identifier FROM pg_catalog.pg_control_system())::text
            || '-' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8);
    EXCEPTION WHEN OTHERS THEN
        cluster := 'unknown';
    END;
    RETURN cluster
        || '-' || (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())::text
        || '-' || 'journal'::pg_catalog.regclass::oid::text;
END $$"""
"""A copy within the cluster has another number of the database, a restored dump another number of the table. A standby
has those of its primary.
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(HISTORY)
