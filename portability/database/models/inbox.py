"""Tables of the inbox: senders, the transfers that they have offered, and the differences that imports would make.

Secrets, links and values of records are encrypted with a key that is derived from the link key, which is not in the
database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from portability.database.engine import JsonType, UtcTime
from portability.database.models.columns import metadata

sender = Table(
    "sender",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("issuer", String(500), nullable=False, comment="`iss` of its statements and archives"),
    Column("jwks_url", Text, nullable=False),
    Column("kid", String(64), nullable=False, comment="the link key that its secret is sealed with"),
    Column("sealed", Text, nullable=False, comment="the encrypted secret of its webhooks"),
    Column("created_by", String(200), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("removed_by", String(200)),
    Column("removed_at", UtcTime),
    Index(None, "issuer"),
)

received_transfer = Table(
    "received_transfer",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sender_id", ForeignKey("sender.id"), nullable=False),
    Column("webhook_id", String(200), nullable=False, comment="of the offer"),
    Column("sent_id", String(200), nullable=False, comment="the transfer's id at the sender"),
    Column("state", String(16), nullable=False, comment="portability/inbox/states.py"),
    Column("kid", String(64), nullable=False, comment="the link key that the link is sealed with"),
    Column("sealed", Text, comment="the encrypted link; deleted once it is fetched"),
    Column("offer_ends_at", UtcTime, nullable=False),
    # What the statement and the archive say.
    Column("statement", Text, comment="transfer.jwt"),
    Column("receipt_url", Text),
    Column("possession", String(64), comment="the proof that its receipt contains"),
    Column("profile", String(16)),
    Column("archive_kind", String(16), comment="kind of the subject that the archive is about"),
    Column("archive_subject", String(200), comment="the sender's pseudonym of the subject"),
    Column("archive_export", String(200)),
    Column("revision", Integer),
    Column("consent", String(200)),
    Column("volumes", Integer),
    Column("files", Integer),
    Column("bytes", BigInteger, comment="unpacked"),
    # Whose data it is here, as an officer has said.
    Column("subject_kind", String(16)),
    Column("subject_id", String(200)),
    Column("subject_ref", String(32)),
    Column("tenant", String(200), comment="of a contact or a company"),
    Column("company", String(200), comment="that rows of a person's archive belong to"),
    Column("on_conflict", String(8), comment="keep | take"),
    Column("assigned_by", String(200)),
    Column("comparison", String(32), comment="random id of the difference that an officer decides on"),
    Column("report", JsonType, comment="counts by dataset, of the difference or of the import"),
    Column("import_id", String(32), comment="of the journal in the platform's database"),
    Column("decided_by", String(200)),
    Column("decided_at", UtcTime),
    Column("reason", String(64), comment="of an officer's refusal"),
    Column("error_code", String(64), comment="why a check has refused it, or the last step failed"),
    Column("notice", String(16), comment="kind of the sender's newest notice about it"),
    Column("noticed_at", UtcTime),
    Column("receipt", String(16), comment="queued | sent | failed; null: none is due"),
    Column("receipted_at", UtcTime),
    # The process that works on it. Every write of it is WHERE token = its own.
    Column("token", String(32), comment="identity of the newest claim, random"),
    Column("lease_until", UtcTime),
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcTime, comment="back-off"),
    Column("created_at", UtcTime, nullable=False),
    Column("fetched_at", UtcTime),
    Column("ended_at", UtcTime),
    UniqueConstraint("sender_id", "webhook_id"),
    UniqueConstraint("sender_id", "sent_id"),
    Index(None, "state"),
    Index(None, "subject_id"),
)

received_difference = Table(
    "received_difference",
    metadata,
    Column("received_id", ForeignKey("received_transfer.id"), primary_key=True),
    Column("number", Integer, primary_key=True, comment="from 1, in the order of the archive"),
    Column("dataset", String(250), nullable=False, comment="exporter/dataset"),
    Column("what", String(16), nullable=False, comment="new | differs | deleted_here | quarantined"),
    Column("kid", String(64), nullable=False, comment="the link key that the values are sealed with"),
    Column("sealed", Text, nullable=False, comment="the encrypted record, by field"),
)
