"""Tables of the people: links, codes, approvals, recalls, mandates, and the audit log of what they did.

No token, code or address is in any of them: a token is known by its SHA-256, a code by how it is derived.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from portability.db import JsonType, UtcTime
from portability.models.columns import BigSerial, metadata

audit_event = Table(
    "audit_event",
    metadata,
    Column("id", BigSerial, primary_key=True, comment="one more than the event before it"),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("export_id", String(32)),
    Column("detail", JsonType, nullable=False, comment="opaque ids, codes and counts only"),
    Column("prev_hash", String(64), nullable=False, comment="of the event before it; unique: the chain cannot fork"),
    Column("hash", String(64), nullable=False, comment="SHA-256 over prev_hash and this event (docs/audit.md)"),
    UniqueConstraint("prev_hash"),
    Index(None, "export_id"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, comment="always 1; locked by whoever appends"),
    Column("event_id", BigInteger, nullable=False, comment="of the newest event; 0: there is none"),
    Column("hash", String(64), nullable=False, comment="of the newest event"),
)

link = Table(
    "link",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("token_sha256", String(64), nullable=False, comment="of the whole token string"),
    Column("audience", String(16), nullable=False, comment="login | code | tenant_admin | recipient"),
    Column("transfer_id", String(32), comment="of a recipient's link: what alone it reaches"),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Column("revoked_by", String(200)),
    UniqueConstraint("token_sha256"),
    Index(None, "export_id"),
)

link_claim = Table(
    "link_claim",
    metadata,
    Column("id", BigSerial, primary_key=True),
    Column("link_id", ForeignKey("link.id"), nullable=False),
    Column("volume", Integer, nullable=False, comment="its number"),
    Column("claim_sha256", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("downloaded_at", UtcTime, comment="when all bytes had gone out, or storage was asked to send them"),
    UniqueConstraint("claim_sha256"),
    Index(None, "link_id", "volume"),
)

code = Table(
    "code",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("link_id", ForeignKey("link.id"), nullable=False),
    Column("kid", String(64), nullable=False, comment="the link key that it is derived with"),
    Column("nonce", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
    Index(None, "link_id", "created_at"),
)

deadline_event = Table(
    "deadline_event",
    metadata,
    Column("id", BigSerial, primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("kind", String(16), nullable=False, comment="extended | paused | resumed"),
    Column("reason", Text, comment="of an extension, as the person is told; of a pause: identity | clarification"),
    Column("actor", String(200), nullable=False),
    Column("at", UtcTime, nullable=False),
    Index(None, "export_id"),
    Index(None, "kind"),
)

approval = Table(
    "approval",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column(
        "cause",
        String(32),
        nullable=False,
        comment="switch | contact_changed | abroad | other_people | fetch | refusal",
    ),
    Column("state", String(16), nullable=False, comment="open | approved | denied"),
    Column("asked_by", String(200), nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("decided_by", String(200)),
    Column("decided_at", UtcTime),
    Column("reason", Text, comment="of a denial: what the person is told; null once the subject is erased"),
    Column("basis", String(32), comment="of a denial: which rule it rests on"),
    Index(None, "export_id"),
    Index(None, "state"),
)

idempotency_key = Table(
    "idempotency_key",
    metadata,
    Column("digest", String(64), primary_key=True, comment="SHA-256 of actor and key"),
    Column("request_sha256", String(64), nullable=False),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Index(None, "created_at"),
)

recall = Table(
    "recall",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_by", String(200), nullable=False),
    Column("opened_at", UtcTime, nullable=False, comment="when it became known: both clocks begin"),
    Column("gdpr_due_at", UtcTime, nullable=False, comment="72 hours (GDPR Art. 33)"),
    Column("pdp_due_at", UtcTime, nullable=False, comment="3 x 24 hours (UU PDP Art. 46)"),
    Column("closed_at", UtcTime),
    Column("closed_by", String(200)),
    Column("outcome", Text),
    Index(None, "export_id"),
)

mandate = Table(
    "mandate",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("agent", String(200), nullable=False, comment="who may ask, as role:id"),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False),
    Column("tenant", String(200)),
    Column("scope", JsonType, nullable=False, comment="profiles that it covers"),
    Column("issuer", String(200), nullable=False, comment="who gave it: the subject, a court, a parent ..."),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Index(None, "agent"),
)

notification = Table(
    "notification",
    metadata,
    # Random, made with the row: the Message-ID of its mail, so that a mail that comes twice is seen to be one.
    Column("id", String(40), primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("kind", String(16), nullable=False, comment="acknowledged | ready | expiring | failed | denied | code"),
    Column("occasion", String(64), nullable=False, comment="try and revision, or a code's id: told once for each"),
    Column("language", String(16), comment="in which it was mailed"),
    Column("state", String(16), nullable=False, comment="queued | sent | page | failed"),
    Column("reason", String(64), comment="why it is not mailed, or not yet: a code"),
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcTime, comment="back-off"),
    Column("lease_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    UniqueConstraint("export_id", "kind", "occasion"),
    Index(None, "state", "created_at"),
)
