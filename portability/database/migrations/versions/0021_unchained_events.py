"""Events of the audit log are recorded without a lock that all share, and chained in their order by the next reader.

On PostgreSQL a recorded event cannot be changed, and it can be deleted only when the chain contains it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from portability.database.engine import JsonType, UtcTime
from portability.database.models.columns import BigSerial

revision = "0021_unchained_events"
down_revision = "0020_source_secrets"

PROTECTED_POSTGRESQL = (
    """CREATE FUNCTION audit_unchained_is_kept() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
      IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM audit_event WHERE entry = OLD.entry) THEN RETURN OLD; END IF;
      RAISE EXCEPTION 'an event of audit_unchained stays until it is chained';
    END $$""",
    """CREATE TRIGGER audit_unchained_kept BEFORE UPDATE OR DELETE ON audit_unchained
    FOR EACH ROW EXECUTE FUNCTION audit_unchained_is_kept()""",
    """CREATE TRIGGER audit_unchained_not_emptied BEFORE TRUNCATE ON audit_unchained
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_append_only()""",
)


def upgrade() -> None:
    op.add_column("audit_event", sa.Column("entry", sa.String(32)))
    op.create_index(None, "audit_event", ["entry"], unique=True)
    op.create_table(
        "audit_unchained",
        sa.Column("id", BigSerial, primary_key=True),
        sa.Column("entry", sa.String(32), nullable=False),
        sa.Column("at", UtcTime, nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("export_id", sa.String(32)),
        sa.Column("detail", JsonType, nullable=False),
    )
    op.create_index(None, "audit_unchained", ["entry"], unique=True)
    op.create_index(None, "audit_unchained", ["export_id"])
    if op.get_bind().dialect.name == "postgresql":
        for statement in PROTECTED_POSTGRESQL:
            op.execute(statement)
