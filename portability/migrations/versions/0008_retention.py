"""Legal holds, erasures, what of archives was deleted and who signed for it, and pseudonyms that can be unlinked."""

from __future__ import annotations

import hashlib
import hmac

import sqlalchemy as sa
from alembic import op

from portability.db import UtcTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "legal_hold",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("subject_kind", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=200), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("until", UtcTime(), nullable=True),
        sa.Column("released_at", UtcTime(), nullable=True),
        sa.Column("released_by", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("legal_hold_pkey")),
    )
    op.create_index(op.f("legal_hold_subject_id_idx"), "legal_hold", ["subject_id"], unique=False)
    op.create_table(
        "erasure",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("subject_kind", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.String(length=200), nullable=True),
        sa.Column("tenant", sa.String(length=200), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("begun_at", UtcTime(), nullable=False),
        sa.Column("begun_by", sa.String(length=200), nullable=False),
        sa.Column("ended_at", UtcTime(), nullable=True),
        sa.Column("exports", sa.Integer(), nullable=False),
        sa.Column("volumes", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("erasure_pkey")),
    )
    op.create_index(op.f("erasure_state_idx"), "erasure", ["state"], unique=False)
    op.create_table(
        "attestation",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("attestation_export_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("attestation_pkey")),
    )
    op.create_index(op.f("attestation_export_id_idx"), "attestation", ["export_id"], unique=False)
    op.create_table(
        "deleted_volume",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.Column("deleted_at", UtcTime(), nullable=False),
        sa.Column("attestation_id", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(
            ["attestation_id"], ["attestation.id"], name=op.f("deleted_volume_attestation_id_fkey")
        ),
        sa.ForeignKeyConstraint(["export_id"], ["export.id"], name=op.f("deleted_volume_export_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("deleted_volume_pkey")),
    )
    op.create_index(op.f("deleted_volume_export_id_idx"), "deleted_volume", ["export_id"], unique=False)
    op.create_index(op.f("deleted_volume_attestation_id_idx"), "deleted_volume", ["attestation_id"], unique=False)
    op.create_table(
        "subject_ref",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("ref", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("subject_ref_pkey")),
        sa.UniqueConstraint("ref", name=op.f("subject_ref_ref_key")),
    )
    op.add_column("export", sa.Column("erased_at", UtcTime(), nullable=True))
    op.add_column("approval", sa.Column("basis", sa.String(length=32), nullable=True))
    _keep_references()


def _keep_references() -> None:
    """Subjects that have exports keep the references that they have."""
    connection = op.get_bind()
    salt = connection.execute(sa.text("SELECT pairwise_salt FROM deployment")).scalar_one_or_none()
    if salt is None:
        return
    found = sa.text("SELECT DISTINCT subject_kind, tenant, subject_id, subject_ref FROM export")
    for kind, tenant, identifier, ref in connection.execute(found).all():
        named = "\0".join((kind, tenant or "", identifier)).encode()
        digest = hmac.new(bytes.fromhex(salt), named, hashlib.sha256).hexdigest()
        row = {"digest": digest, "ref": ref}
        connection.execute(sa.text("INSERT INTO subject_ref (digest, ref) VALUES (:digest, :ref)"), row)
