"""The first schema: exports, volumes, ledger, gaps, instructions, keys and an append-only audit log."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from portability.db import JsonType, UtcTime

revision = "0001"
down_revision = None

BigSerial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

APPEND_ONLY_POSTGRESQL = (
    """CREATE FUNCTION audit_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'audit_event is append-only'; END $$""",
    """CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_append_only()""",
)
APPEND_ONLY_SQLITE = tuple(
    f"""CREATE TRIGGER audit_event_append_only_{verb.lower()} BEFORE {verb} ON audit_event
    BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END"""
    for verb in ("UPDATE", "DELETE")
)


def upgrade() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", BigSerial, nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=True),
        sa.Column("detail", JsonType, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("audit_event_pkey")),
    )
    op.create_index(op.f("audit_event_export_id_idx"), "audit_event", ["export_id"], unique=False)
    op.create_table(
        "deployment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pairwise_salt", sa.String(length=64), nullable=False),
        sa.Column("store_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("deployment_pkey")),
    )
    op.create_table(
        "export",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("profile", sa.String(length=16), nullable=False),
        sa.Column("subject_kind", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=200), nullable=False),
        sa.Column("subject_ref", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=True),
        sa.Column("include", JsonType, nullable=True),
        sa.Column("formats", JsonType, nullable=False),
        sa.Column("since", UtcTime(), nullable=True),
        sa.Column("until", UtcTime(), nullable=True),
        sa.Column("require_complete", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("requested_by", sa.String(length=200), nullable=False),
        sa.Column("received_at", UtcTime(), nullable=False),
        sa.Column("due_at", UtcTime(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("began_at", UtcTime(), nullable=True),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("cancel_requested_at", UtcTime(), nullable=True),
        sa.Column("position", JsonType, nullable=True),
        sa.Column("progress", JsonType, nullable=True),
        sa.Column("volume_counter", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String(length=200), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("claimed_at", UtcTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", UtcTime(), nullable=True),
        sa.Column("woken_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("export_pkey")),
    )
    op.create_index(op.f("export_state_claimed_at_idx"), "export", ["state", "claimed_at"], unique=False)
    op.create_index(op.f("export_subject_ref_idx"), "export", ["subject_ref"], unique=False)
    op.create_table(
        "instruction",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("contact_id", sa.String(length=200), nullable=True),
        sa.Column("exporters", JsonType, nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("withdrawn_at", UtcTime(), nullable=True),
        sa.Column("withdrawn_by", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("instruction_pkey")),
    )
    op.create_index(op.f("instruction_tenant_idx"), "instruction", ["tenant"], unique=False)
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("public_jwk", JsonType, nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("retired_at", UtcTime(), nullable=True),
        sa.Column("revoked_at", UtcTime(), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("signing_key_pkey")),
    )
    op.create_table(
        "gap",
        sa.Column("id", BigSerial, nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("volume", sa.Integer(), nullable=False),
        sa.Column("exporter", sa.String(length=100), nullable=False),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("retryable", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("gap_export_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("gap_pkey")),
    )
    op.create_index(op.f("gap_export_id_idx"), "gap", ["export_id"], unique=False)
    op.create_table(
        "ledger",
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("exporter", sa.String(length=100), nullable=False),
        sa.Column("dataset", sa.String(length=100), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("tenants", JsonType, nullable=True),
        sa.Column("expected_records", sa.BigInteger(), nullable=True),
        sa.Column("expected_bytes", sa.BigInteger(), nullable=True),
        sa.Column("records", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("gaps", sa.BigInteger(), nullable=False),
        sa.Column("reading_began_at", UtcTime(), nullable=True),
        sa.Column("reading_ended_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("ledger_export_id_fkey")),
        sa.PrimaryKeyConstraint("export_id", "ordinal", name=op.f("ledger_pkey")),
    )
    op.create_table(
        "volume",
        sa.Column("id", BigSerial, nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("object_key", sa.String(length=200), nullable=False),
        sa.Column("upload_id", sa.Text(), nullable=False),
        sa.Column("closing", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("tagmanifest_sha256", sa.String(length=64), nullable=True),
        sa.Column("files", sa.BigInteger(), nullable=True),
        sa.Column("payload_bytes", sa.BigInteger(), nullable=True),
        sa.Column("began_at", UtcTime(), nullable=False),
        sa.Column("stored_at", UtcTime(), nullable=True),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("volume_export_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("volume_pkey")),
        sa.UniqueConstraint("object_key", name=op.f("volume_object_key_key")),
    )
    op.create_index(op.f("volume_export_id_number_idx"), "volume", ["export_id", "number"], unique=False)
    postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in APPEND_ONLY_POSTGRESQL if postgresql else APPEND_ONLY_SQLITE:
        op.execute(statement)
    op.bulk_insert(
        sa.table("deployment", sa.column("id"), sa.column("pairwise_salt"), sa.column("created_at", UtcTime())),
        [{"id": 1, "pairwise_salt": secrets.token_hex(32), "created_at": datetime.now(UTC)}],
    )
