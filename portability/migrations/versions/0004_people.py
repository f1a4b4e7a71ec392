"""People: links, codes, approvals, recalls, mandates; the audit log becomes a hash chain, older events included."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from portability.db import JsonType, UtcTime

revision = "0004"
down_revision = "0003"

BigSerial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NOTHING = "0" * 64

DROP_POSTGRESQL = ("DROP TRIGGER audit_event_append_only ON audit_event",)
DROP_SQLITE = ("DROP TRIGGER audit_event_append_only_update", "DROP TRIGGER audit_event_append_only_delete")
APPEND_ONLY_POSTGRESQL = (
    """CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_append_only()""",
)
APPEND_ONLY_SQLITE = tuple(
    f"""CREATE TRIGGER audit_event_append_only_{verb.lower()} BEFORE {verb} ON audit_event
    BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END"""
    for verb in ("UPDATE", "DELETE")
)


def upgrade() -> None:
    _chain_audit()
    op.add_column("export", sa.Column("mandate_id", sa.String(length=32), nullable=True))
    op.add_column("instruction", sa.Column("delivery", sa.String(length=16), nullable=False, server_default="subject"))
    op.create_table(
        "link",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("audience", sa.String(length=16), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.Column("revoked_by", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("link_export_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("link_pkey")),
        sa.UniqueConstraint("token_sha256", name=op.f("link_token_sha256_key")),
    )
    op.create_index(op.f("link_export_id_idx"), "link", ["export_id"], unique=False)
    op.create_table(
        "link_claim",
        sa.Column("id", BigSerial, nullable=False),
        sa.Column("link_id", sa.String(length=32), nullable=False),
        sa.Column("volume", sa.Integer(), nullable=False),
        sa.Column("claim_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("downloaded_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["link_id"], ["link.id"], name=op.f("link_claim_link_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("link_claim_pkey")),
        sa.UniqueConstraint("claim_sha256", name=op.f("link_claim_claim_sha256_key")),
    )
    op.create_index(op.f("link_claim_link_id_volume_idx"), "link_claim", ["link_id", "volume"], unique=False)
    op.create_table(
        "code",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("link_id", sa.String(length=32), nullable=False),
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("used_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["link_id"], ["link.id"], name=op.f("code_link_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("code_pkey")),
    )
    op.create_index(op.f("code_link_id_created_at_idx"), "code", ["link_id", "created_at"], unique=False)
    op.create_table(
        "approval",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_by", sa.String(length=200), nullable=False),
        sa.Column("asked_at", UtcTime(), nullable=False),
        sa.Column("decided_by", sa.String(length=200), nullable=True),
        sa.Column("decided_at", UtcTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("approval_export_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("approval_pkey")),
    )
    op.create_index(op.f("approval_export_id_idx"), "approval", ["export_id"], unique=False)
    op.create_index(op.f("approval_state_idx"), "approval", ["state"], unique=False)
    op.create_table(
        "idempotency_key",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("idempotency_key_export_id_fkey")),
        sa.PrimaryKeyConstraint("digest", name=op.f("idempotency_key_pkey")),
    )
    op.create_index(op.f("idempotency_key_created_at_idx"), "idempotency_key", ["created_at"], unique=False)
    op.create_table(
        "recall",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.String(length=200), nullable=False),
        sa.Column("opened_at", UtcTime(), nullable=False),
        sa.Column("gdpr_due_at", UtcTime(), nullable=False),
        sa.Column("pdp_due_at", UtcTime(), nullable=False),
        sa.Column("closed_at", UtcTime(), nullable=True),
        sa.Column("closed_by", sa.String(length=200), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("recall_export_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("recall_pkey")),
    )
    op.create_index(op.f("recall_export_id_idx"), "recall", ["export_id"], unique=False)
    op.create_table(
        "mandate",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("subject_kind", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=200), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=True),
        sa.Column("scope", JsonType, nullable=False),
        sa.Column("issuer", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("mandate_pkey")),
    )
    op.create_index(op.f("mandate_agent_idx"), "mandate", ["agent"], unique=False)


def _chain_audit() -> None:
    """Events of before are chained in their order; the triggers that refuse changes are away for so long."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in DROP_POSTGRESQL if postgresql else DROP_SQLITE:
        op.execute(statement)
    op.add_column("audit_event", sa.Column("prev_hash", sa.String(length=64), nullable=True))
    op.add_column("audit_event", sa.Column("hash", sa.String(length=64), nullable=True))
    event_id, newest = _hash_events()
    with op.batch_alter_table("audit_event") as table:
        table.alter_column("prev_hash", existing_type=sa.String(length=64), nullable=False)
        table.alter_column("hash", existing_type=sa.String(length=64), nullable=False)
        table.create_unique_constraint(op.f("audit_event_prev_hash_key"), ["prev_hash"])
    for statement in APPEND_ONLY_POSTGRESQL if postgresql else APPEND_ONLY_SQLITE:
        op.execute(statement)
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_head_pkey")),
    )
    op.bulk_insert(head, [{"id": 1, "event_id": event_id, "hash": newest}])


def _hash_events() -> tuple[int, str]:
    names = ("id", "actor", "action", "export_id", "prev_hash", "hash")
    typed = (sa.column("at", UtcTime), sa.column("detail", JsonType))
    events = sa.table("audit_event", *(sa.column(name) for name in names), *typed)
    event_id, newest = 0, NOTHING
    connection = op.get_bind()
    for row in connection.execute(sa.select(events).order_by(events.c.id)).mappings().all():
        hashed = _hash(newest, dict(row))
        chained = sa.update(events).where(events.c.id == row["id"]).values(prev_hash=newest, hash=hashed)
        connection.execute(chained)
        event_id, newest = row["id"], hashed
    return event_id, newest


def _hash(previous: str, event: dict[str, Any]) -> str:
    """As `portability.audit` had it when this revision was written."""
    at: datetime = event["at"]
    moment = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    named = {name: event[name] for name in ("id", "actor", "action", "export_id", "detail")}
    document = {"prev_hash": previous, "at": moment, **named}
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
