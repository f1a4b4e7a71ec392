"""Tables of legal holds, erasures and attestations of deletion (docs/retention.md), and of secrets of sources."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from portability.database.engine import UtcTime
from portability.database.models.columns import BigSerial, metadata

legal_hold = Table(
    "legal_hold",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False),
    Column("tenant", String(200)),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("until", UtcTime, comment="it ends automatically then; null: when it is released"),
    Column("released_at", UtcTime),
    Column("released_by", String(200)),
    Index(None, "subject_id"),
)

erasure = Table(
    "erasure",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), comment="null once the erasure has ended: the identity is erased, too"),
    Column("tenant", String(200)),
    Column("reason", Text, comment="null once the erasure has ended"),
    Column("state", String(16), nullable=False, comment="begun | done"),
    Column("begun_at", UtcTime, nullable=False),
    Column("begun_by", String(200), nullable=False),
    Column("ended_at", UtcTime),
    Column("exports", Integer, nullable=False, comment="number of exports that were made anonymous"),
    Column("volumes", Integer, nullable=False, comment="number of volumes that were deleted"),
    Column("bytes", BigInteger, nullable=False),
    Index(None, "state"),
)

attestation = Table(
    "attestation",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("token", Text, nullable=False, comment="JWS: which volumes were deleted, when and why"),
    Column("created_at", UtcTime, nullable=False),
    Index(None, "export_id"),
)

deleted_volume = Table(
    "deleted_volume",
    metadata,
    Column("id", BigSerial, primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("why", String(16), nullable=False, comment="expired | recalled | erased"),
    Column("deleted_at", UtcTime, nullable=False),
    Column("attestation_id", ForeignKey("attestation.id"), comment="that states the deletion; null: none yet"),
    Index(None, "export_id"),
    Index(None, "attestation_id"),
)

subject_ref = Table(
    "subject_ref",
    metadata,
    Column("digest", String(64), primary_key=True, comment="HMAC-SHA256 of the subject under pairwise_salt"),
    Column("ref", String(32), nullable=False, comment="random; without this row it identifies no subject"),
    UniqueConstraint("ref"),
)

source_secret = Table(
    "source_secret",
    metadata,
    Column("name", String(200), primary_key=True, comment="of the source in the file of sources"),
    Column("kid", String(64), nullable=False, comment="the link key that it is sealed with"),
    Column("sealed", Text, nullable=False, comment="encrypted: the tokens of its login"),
    Column("updated_at", UtcTime, nullable=False),
)
