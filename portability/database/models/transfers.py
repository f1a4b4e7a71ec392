"""Tables of transfers: recipients, authorisations by subjects, transfers, receipts, webhooks and notices.

None of them contains a private key, a webhook secret or a readable link: the last two are derived from the link key,
which is not in the database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from portability.database.engine import JsonType, UtcTime
from portability.database.models.columns import BigSerial, metadata

recipient = Table(
    "recipient",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("domain", String(253), nullable=False, comment="`aud` of statements for it, `iss` of statements by it"),
    Column("country", String(2), nullable=False, comment="ISO 3166-1 alpha-2"),
    Column("mechanism", String(16), nullable=False, comment="adequacy | scc | binding_rules | consent | none"),
    Column("safeguard", String(200), comment="reference of the contract or rules"),
    Column("age_key", String(100), nullable=False, comment="public: age1..."),
    Column("jwks_url", Text, nullable=False),
    Column("webhook_url", Text, nullable=False),
    Column("webhook_kid", String(64), nullable=False, comment="the link key that its webhook secret is derived with"),
    Column("datasets", JsonType, comment="exporter or exporter/dataset; null: all"),
    Column("redirect_uris", JsonType, comment="where people return to after a consent that it asks for"),
    Column("created_by", String(200), nullable=False),
    Column("created_identity", String(400), comment="issuer and id of who recorded it, in whatever role"),
    Column("created_at", UtcTime, nullable=False),
    Column("approved_by", String(200)),
    Column("approved_at", UtcTime),
    Column("removed_by", String(200)),
    Column("removed_at", UtcTime),
    Column("proven_at", UtcTime, comment="when it answered a challenge for its key, key set and webhook"),
    Column("rotated_at", UtcTime, comment="when it got its present key by a statement of the previous one"),
    Index(None, "domain"),
)

authorisation = Table(
    "authorisation",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("recipient_id", ForeignKey("recipient.id"), nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False),
    Column("subject_ref", String(32), nullable=False),
    Column("tenant", String(200)),
    Column("datasets", JsonType, nullable=False, comment="exporter or exporter/dataset"),
    Column("once", Boolean, nullable=False),
    Column("expires_at", UtcTime, comment="null: it is for a single transfer"),
    Column("evidence", String(200), comment="where the consent is stored, if another person recorded it"),
    Column("created_by", String(200), nullable=False),
    Column("created_identity", String(400), comment="issuer and id of who recorded it, in whatever role"),
    Column("created_at", UtcTime, nullable=False),
    Column("confirmed_by", String(200), comment="who confirmed it; only for what another person recorded"),
    Column("confirmed_at", UtcTime),
    Column("document", String(200), comment="where the signed consent is stored that a second person has seen"),
    Column("countersigned_by", String(200), comment="the second person, instead of the subject's confirmation"),
    Column("countersigned_at", UtcTime),
    Column(
        "dpop_jkt", String(43), comment="SHA-256 of the key that the recipient fetches with; null: it is sent to it"
    ),
    Column("used_at", UtcTime),
    Column("revoked_by", String(200)),
    Column("revoked_at", UtcTime),
    Index(None, "subject_ref"),
    Index(None, "subject_id"),
)

transfer = Table(
    "transfer",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("recipient_id", ForeignKey("recipient.id"), nullable=False),
    Column("authorisation_id", ForeignKey("authorisation.id"), nullable=False),
    Column("state", String(16), nullable=False, comment="portability/transfers/sending.py"),
    Column("revision", Integer, comment="of the export when it was offered"),
    Column("statement", Text, comment="transfer.jwt"),
    Column("closing", String(32), comment="random id of its list of volumes; null: the statement contains the list"),
    Column("volumes", Integer, comment="number of volumes in its list"),
    Column("age_key", String(100), comment="that its volumes are encrypted to; null: none is yet"),
    Column("nonce", String(64), comment="hex; chosen before the first volume is encrypted"),
    Column("possession", String(64), comment="SHA-256 that a receipt must contain; null: no receipt has to"),
    Column("error_code", String(64), comment="of a failure, or of a receipt that refuses"),
    Column("created_by", String(200), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("offered_at", UtcTime),
    Column("expires_at", UtcTime),
    Column("ended_at", UtcTime, comment="when it was delivered, or ended otherwise"),
    # The worker that encrypts it. Every write of a worker is WHERE fence and token = its own.
    Column("owner", String(200)),
    Column("fence", BigInteger, nullable=False, comment="order of the claims"),
    Column("token", String(32), comment="identity of the newest claim, random; null: none since the upgrade"),
    Column("lease_until", UtcTime),
    Column("claimed_at", UtcTime),
    Column("attempts", Integer, nullable=False, comment="failed attempts at the open volume"),
    Column("not_before", UtcTime, comment="back-off"),
    Column("woken_at", UtcTime, comment="last wake-up sent"),
    Index(None, "export_id"),
    Index(None, "authorisation_id"),
    Index(None, "state"),
)

transfer_copy = Table(
    "transfer_copy",
    metadata,
    Column("id", BigSerial, primary_key=True, comment="random, like that of a volume"),
    Column("transfer_id", ForeignKey("transfer.id"), nullable=False),
    Column("number", Integer, nullable=False, comment="of its volume"),
    Column("name", String(100), nullable=False, comment="of its volume"),
    Column("plain_bytes", BigInteger, nullable=False),
    Column("plain_sha256", String(64), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("token", String(32), comment="of the claim that began it"),
    Column("state", String(16), nullable=False, comment="writing | stored"),
    Column("object_key", String(200), nullable=False),
    Column("upload_id", Text, nullable=False),
    Column("bytes", BigInteger),
    Column("sha256", String(64)),
    Column("possession", String(64), comment="SHA-256 of the transfer's nonce and the encrypted file"),
    Column("began_at", UtcTime, nullable=False),
    Column("stored_at", UtcTime),
    UniqueConstraint("object_key"),
    Index(None, "transfer_id", "number"),
)

transfer_receipt = Table(
    "transfer_receipt",
    metadata,
    Column("id", BigSerial, primary_key=True),
    Column("transfer_id", ForeignKey("transfer.id"), nullable=False),
    Column("recipient_id", ForeignKey("recipient.id"), nullable=False),
    Column("jti", String(200), nullable=False),
    Column("status", String(16), nullable=False, comment="received | refused"),
    Column("code", String(64)),
    Column("volumes", Integer, nullable=False),
    Column("receipt", Text, nullable=False, comment="the JWS, signed by the recipient"),
    Column("received_at", UtcTime, nullable=False),
    UniqueConstraint("recipient_id", "jti"),
    Index(None, "transfer_id"),
)

webhook = Table(
    "webhook",
    metadata,
    # Random, made with the row: `webhook-id` of every attempt.
    Column("id", String(40), primary_key=True),
    Column("transfer_id", ForeignKey("transfer.id"), nullable=False),
    Column("kind", String(32), nullable=False, comment="transfer.offered"),
    Column("state", String(16), nullable=False, comment="queued | sent | failed | dropped"),
    Column("kid", String(64), nullable=False, comment="the link key that it is sealed with"),
    Column("sealed", Text, comment="the encrypted content; deleted once it is settled"),
    Column("reason", String(64), comment="code of the reason why it is not sent, or not yet"),
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcTime, comment="back-off"),
    Column("lease_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    UniqueConstraint("transfer_id", "kind"),
    Index(None, "state", "created_at"),
)

recipient_notice = Table(
    "recipient_notice",
    metadata,
    # No foreign keys to export and transfer: it outlives the transfer, and inserting it locks no export.
    Column("id", String(40), primary_key=True, comment="`webhook-id` of every attempt"),
    Column("export_id", String(32), nullable=False),
    Column("transfer_id", String(32), nullable=False),
    Column("recipient_id", ForeignKey("recipient.id"), nullable=False),
    Column("kind", String(16), nullable=False, comment="withdrawn | expired | rectified | erased"),
    Column("revision", Integer, nullable=False, comment="of the export, if it is `rectified`; else 0"),
    Column("state", String(16), nullable=False, comment="queued | acknowledged | failed"),
    Column("reason", String(64), comment="code of the reason why it is not acknowledged, or not yet"),
    Column("acknowledgement", Text, comment="the JWS, signed by the recipient"),
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcTime, comment="back-off"),
    Column("lease_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("settled_at", UtcTime, comment="when it was acknowledged or given up"),
    UniqueConstraint("transfer_id", "kind", "revision"),
    Index(None, "state", "created_at"),
    Index(None, "export_id"),
    Index(None, "recipient_id"),
)
