"""Tables about people: links, codes, approvals, recalls, mandates, and the audit log of their actions.

None of them contains a token or a code: tokens are stored as SHA-256, codes are derived when needed. An address is
stored only as the id of a subject.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from portability.database.engine import JsonType, UtcTime
from portability.database.models.columns import BigSerial, metadata

audit_event = Table(
    "audit_event",
    metadata,
    Column("id", BigSerial, primary_key=True, comment="the previous event's id plus one"),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("export_id", String(32)),
    Column("detail", JsonType, nullable=False, comment="opaque ids, codes and counts only"),
    Column("prev_hash", String(64), nullable=False, comment="of the previous event; unique: the chain cannot fork"),
    Column("hash", String(64), nullable=False, comment="SHA-256 over prev_hash and this event (docs/audit.md)"),
    Column("entry", String(32), comment="its identity since it was recorded; null: recorded by an older version"),
    UniqueConstraint("prev_hash"),
    Index(None, "export_id"),
    Index(None, "entry", unique=True),
)

audit_unchained = Table(
    "audit_unchained",
    metadata,
    Column("id", BigSerial, primary_key=True, comment="the order in which events were recorded"),
    Column("entry", String(32), nullable=False, comment="random: its identity before and after it is chained"),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("export_id", String(32)),
    Column("detail", JsonType, nullable=False, comment="opaque ids, codes and counts only"),
    Index(None, "entry", unique=True),
    Index(None, "export_id"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, comment="always 1; locked while an event is appended"),
    Column("event_id", BigInteger, nullable=False, comment="of the newest event; 0: no event yet"),
    Column("hash", String(64), nullable=False, comment="of the newest event"),
)

journal = Table(
    "journal",
    metadata,
    Column("id", Integer, primary_key=True, comment="always 1"),
    Column("shipped_id", BigInteger, nullable=False, comment="of the newest event of the audit log that is in storage"),
    Column("history", String(64), comment="server and timeline whose commits are complete; null: not looked at yet"),
)

lost_event = Table(
    "lost_event",
    metadata,
    Column("hash", String(64), primary_key=True, comment="of an event that storage has, and this database had lost"),
    Column("event_id", BigInteger, nullable=False, comment="its id in the lost part of the audit log"),
    Column("at", UtcTime, nullable=False),
    Column("action", String(64), nullable=False),
    Column("export_id", String(32)),
    Column("outcome", String(16), nullable=False, comment="portability/journal/reconcile.py, LossOutcome"),
    Column("found_at", UtcTime, nullable=False),
)

link = Table(
    "link",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("token_sha256", String(64), nullable=False, comment="of the whole token string"),
    Column("audience", String(16), nullable=False, comment="login | code | tenant_admin | recipient"),
    Column("transfer_id", String(32), comment="for a recipient's link: the only transfer that it gives access to"),
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
    Column("downloaded_at", UtcTime, comment="when all bytes were sent, or the download was redirected to storage"),
    UniqueConstraint("claim_sha256"),
    Index(None, "link_id", "volume"),
)

download = Table(
    "download",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("claim_sha256", String(64), nullable=False),
    # No foreign keys: the row does not belong to a request's record, and is deleted within a day.
    Column("link_id", String(32), nullable=False),
    Column("export_id", String(32), nullable=False),
    Column("volume", Integer, nullable=False, comment="its number"),
    Column("revision", Integer, nullable=False, comment="of the archive"),
    Column("size", BigInteger, nullable=False, comment="bytes of the volume"),
    Column("device", String(100), nullable=False, comment="browser and system, without versions; empty: a program"),
    Column("by_storage", Boolean, nullable=False, comment="object storage sends the bytes"),
    Column("is_repeated", Boolean, nullable=False, comment="this device had every byte before, under this claim"),
    Column("requests", Integer, nullable=False),
    Column("running", Integer, nullable=False, comment="requests that are being answered; too high after a crash"),
    Column("bytes", BigInteger, nullable=False, comment="that were sent, also repeatedly"),
    Column("spans", JsonType, nullable=False, comment="which bytes were sent: [first, after the last], in order"),
    Column("began_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False, comment="of the last bytes or request, within a minute"),
    Column("ended_at", UtcTime, comment="when its event was recorded"),
    Index(None, "claim_sha256"),
    Index(None, "ended_at", "seen_at"),
)

session = Table(
    "session",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("token_sha256", String(64), nullable=False),
    Column("person", String(64), nullable=False, comment="keyed hash of issuer and id"),
    Column("provider_session", String(64), comment="keyed hash of the login provider's `sid`"),
    Column("content", Text, nullable=False, comment="the login, encrypted with a key derived from the token"),
    Column("device", String(100), nullable=False, comment="browser and system, without versions"),
    Column("address", String(64), nullable=False, comment="keyed hash of the client's address"),
    Column("created_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False, comment="of the last use, within five minutes"),
    Column("expires_at", UtcTime, nullable=False),
    UniqueConstraint("token_sha256"),
    Index(None, "person"),
    Index(None, "provider_session"),
    Index(None, "expires_at"),
)

code = Table(
    "code",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("link_id", ForeignKey("link.id"), comment="null: the code proves an address to log in"),
    Column("subject_kind", String(16), comment="of a login: email | phone"),
    Column("subject_id", String(200), comment="of a login: the address; deleted with the row within hours"),
    Column("kid", String(64), nullable=False, comment="the link key that the code is derived with"),
    Column("nonce", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
    Index(None, "link_id", "created_at"),
    Index(None, "subject_id", "created_at"),
)

deadline_event = Table(
    "deadline_event",
    metadata,
    Column("id", BigSerial, primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("kind", String(16), nullable=False, comment="extended | prolonged (by the customer) | paused | resumed"),
    Column("reason", Text, comment="of an extension: as shown to the person; of a pause: identity | clarification"),
    Column("ground", String(16), comment="of an extension, if the law requires one: technical"),
    Column("ends_at", UtcTime, comment="of an extension: the chosen end; null: the longest that the law allows"),
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
        comment="switch | contact_changed | abroad | other_people | notes | fetch | refusal",
    ),
    Column("state", String(16), nullable=False, comment="open | approved | denied"),
    Column("asked_by", String(200), nullable=False),
    Column("asked_identity", String(400), comment="issuer and id of who asked, in whatever role"),
    Column("asked_at", UtcTime, nullable=False),
    Column("decided_by", String(200)),
    Column("decided_identity", String(400), comment="issuer and id of who decided"),
    Column("decided_at", UtcTime),
    Column("reason", Text, comment="of a denial: as shown to the person; null once the subject is erased"),
    Column("basis", String(32), comment="of a denial: the rule that it is based on"),
    Index(None, "export_id"),
    Index(None, "state"),
)

referral = Table(
    "referral",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("tenant", String(200), nullable=False),
    Column("people", JsonType, nullable=False, comment="ids of contacts and members of staff for an instruction"),
    Column("ground", String(16), comment="consent | contract: why the tenant is informed; null: it is not informed"),
    Column("state", String(16), nullable=False, comment="open | instructed | refused"),
    Column("reason", String(16), comment="of a refusal: a code"),
    Column("created_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, comment="when the tenant has to answer; null: it is not informed"),
    Column("answered_at", UtcTime),
    Column("answered_by", String(200)),
    Column("applied_at", UtcTime, comment="when a revision of the archive began that shows the answer"),
    UniqueConstraint("export_id", "tenant"),
    Index(None, "tenant"),
)

review = Table(
    "review",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False),
    Column("tenant", String(200)),
    Column("kind", String(64), nullable=False, comment="the kind of identity that names the record"),
    Column("at_tenant", String(200), comment="the tenant whose record it is; null: of the platform"),
    Column("exporter", String(100), nullable=False),
    Column("dataset", String(100), nullable=False),
    Column("record", Text, nullable=False, comment="its id in the source: the value of the identity"),
    Column("state", String(16), nullable=False, comment="open | theirs | not_theirs"),
    Column("found_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False, comment="when an export last met it"),
    Column("number", Integer, comment="of the decision, from 1 for each subject; null while it is open"),
    Column("reason", String(16), comment="of the decision: a code"),
    Column("decided_by", String(200)),
    Column("decided_at", UtcTime),
    Index(None, "subject_id"),
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
    Column("opened_at", UtcTime, nullable=False, comment="when it became known: both deadlines start"),
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
    Column("agent", String(200), nullable=False, comment="who may ask, as subject:id"),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False),
    Column("tenant", String(200)),
    Column("scope", JsonType, nullable=False, comment="profiles that it covers"),
    Column("issuer", String(200), nullable=False, comment="who granted it: the subject, a court, a parent ..."),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Index(None, "agent"),
    Index(None, "subject_id"),
)

notification = Table(
    "notification",
    metadata,
    # Random, made with the row: the Message-ID of its mail, so that a duplicate mail is recognised.
    Column("id", String(40), primary_key=True),
    Column("export_id", ForeignKey("export.id"), comment="null: about an authorisation, or a code to log in"),
    Column("kind", String(16), nullable=False, comment="portability/messages/outbox.py, MessageKind"),
    Column("occasion", String(64), nullable=False, comment="attempt and revision, or an id: one message each"),
    Column("channel", String(8), nullable=False, server_default="mail", comment="mail | sms"),
    Column("language", String(16), comment="of the message; before it is sent only if it was chosen on a page"),
    Column("device", String(100), comment="browser and system of a download: as in the list of sessions"),
    Column("state", String(16), nullable=False, comment="queued | sent | page | failed"),
    Column("reason", String(64), comment="code of the reason why it is not mailed, or not yet"),
    Column("attempts", Integer, nullable=False),
    Column("not_before", UtcTime, comment="back-off"),
    Column("lease_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    UniqueConstraint("export_id", "kind", "occasion"),
    Index(None, "state", "created_at"),
)
