"""Tables of the work: exports, slices, volumes, ledger, keys and the deployment's own row."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from portability.database.engine import JsonType, UtcTime
from portability.database.models.columns import BigSerial, metadata

deployment = Table(
    "deployment",
    metadata,
    Column("id", Integer, primary_key=True, comment="always 1"),
    Column(
        "pairwise_salt",
        String(64),
        nullable=False,
        comment="leads to subject references; erasing it unlinks them",
    ),
    Column("store_id", String(64), comment="of the file:// storage that holds the archives"),
    Column("created_at", UtcTime, nullable=False),
    Column("swept_at", UtcTime, comment="when a clock last swept the storage"),
)

export = Table(
    "export",
    metadata,
    Column("id", String(32), primary_key=True),
    # The request. Never changed.
    Column("profile", String(16), nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False, comment="the platform's own opaque id"),
    Column("subject_ref", String(32), nullable=False, comment="pseudonym, safe in logs and keys; empty once erased"),
    Column("tenant", String(200)),
    Column("include", JsonType, comment="exporter names; null: all"),
    Column("formats", JsonType, nullable=False),
    Column("since", UtcTime),
    Column("until", UtcTime),
    Column("require_complete", Boolean, nullable=False),
    Column("reason", Text),
    Column("tell_tenants", Boolean, nullable=False, server_default=false(), comment="the person agreed to inform them"),
    Column("channel", String(32), nullable=False),
    Column("requested_by", String(200), nullable=False),
    Column("mandate_id", String(32), comment="the mandate under which one person asks for another"),
    Column("received_at", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("notice_ends_at", UtcTime, comment="switch: end of the notice period, when the Data Act's deadline starts"),
    Column("language", String(16), comment="of the page on which it was requested"),
    Column("residence", String(2), comment="the subject's country, ISO 3166-1, as far as known: selects regimes"),
    Column("due_regime", String(64), comment="the regime that sets due_at"),
    Column("due_figure", String(8), comment="law | policy: where the figure of that regime comes from"),
    Column("retrieval_ends_at", UtcTime, comment="switch: until when the archive is kept at least (Data Act)"),
    Column("created_at", UtcTime, nullable=False),
    # Its progress.
    Column("state", String(16), nullable=False),
    Column("complete", Boolean),
    Column("outcome_own", String(16), comment="complete | with_remarks | partial | nothing_held | not_found | none"),
    Column("outcome_processor", String(16), comment="none | delivered | referred | refused"),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("began_at", UtcTime, comment="first claim; rows created later are left out"),
    Column("ended_at", UtcTime),
    Column("cancel_requested_at", UtcTime),
    Column("volume_counter", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("open_slices", Integer, nullable=False, server_default="0", comment="without number 0; at 0 it may close"),
    Column("reviewed", Integer, nullable=False, server_default="0", comment="the last decision on reviews in force"),
    Column("erasure_ground", String(16), comment="why its subject may be erased before the delivery: a code"),
    Column("erased_at", UtcTime, comment="since when it is an anonymous row of the request log"),
    Column("pseudonym_key", String(64), comment="derives its pseudonyms of other people; erasing it unlinks them"),
    Index(None, "state"),
    Index(None, "subject_ref"),
    Index(None, "subject_id"),
)

slice = Table(  # noqa: A001  # the project's noun; Python's slice is not used here
    "slice",
    metadata,
    Column("export_id", ForeignKey("export.id"), primary_key=True),
    Column("number", Integer, primary_key=True, comment="0 plans, reads what is not cut, and closes"),
    Column("tenant", String(200), nullable=False, comment="tenants take turns; empty for people with an account"),
    Column("state", String(16), nullable=False, comment="open | waiting | done"),
    Column("large", Boolean, nullable=False, comment="several volumes are expected: small exports go first"),
    Column("version", Integer, nullable=False, comment="of readings and position: a worker ignores newer versions"),
    Column("readings", JsonType, comment="what it reads, as JSON; null: not planned yet"),
    Column("position", JsonType, comment="Position as JSON; null: at the beginning"),
    Column("progress", JsonType, comment="of the open volume, for displays; the ledger has what is committed"),
    # The worker that works on it. Every write of a worker is WHERE fence and token = its own.
    Column("owner", String(200)),
    Column("fence", BigInteger, nullable=False, comment="order of the claims"),
    Column("token", String(32), comment="identity of the newest claim, random; null: none since the upgrade"),
    Column("lease_until", UtcTime),
    Column("claimed_at", UtcTime),
    Column("attempts", Integer, nullable=False, comment="failed attempts at the open volume"),
    Column("not_before", UtcTime, comment="back-off"),
    Column("woken_at", UtcTime, comment="last wake-up sent"),
    Column("created_at", UtcTime, nullable=False),
    Index(None, "tenant", "state"),
    Index(None, "lease_until"),
)

turn = Table(
    "turn",
    metadata,
    Column("tenant", String(200), primary_key=True),
    Column("served_at", UtcTime, comment="last claim of one of its slices"),
)

volume = Table(
    "volume",
    metadata,
    Column("id", BigSerial, primary_key=True, comment="random: after a failover two primaries never give the same"),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("slice", Integer, nullable=False, server_default="0"),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("fence", BigInteger, nullable=False),
    Column("token", String(32), comment="of the claim that began it"),
    Column("state", String(16), nullable=False, comment="writing | stored"),
    Column("object_key", String(200), nullable=False),
    Column("upload_id", Text, nullable=False),
    Column("closing", Boolean, nullable=False),
    Column("name", String(100), nullable=False),
    Column("bytes", BigInteger),
    Column("sha256", String(64)),
    Column("tagmanifest_sha256", String(64)),
    Column("files", BigInteger),
    Column("payload_bytes", BigInteger),
    Column("began_at", UtcTime, nullable=False),
    Column("stored_at", UtcTime),
    UniqueConstraint("object_key"),
    Index(None, "export_id", "number"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("export_id", ForeignKey("export.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, comment="order of reading"),
    Column("exporter", String(100), nullable=False),
    Column("dataset", String(100), nullable=False),
    Column("title", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Text),
    Column("tenants", JsonType, comment="tenants whose instruction is missing"),
    Column("expected_records", BigInteger),
    Column("expected_bytes", BigInteger),
    Column("records", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False, comment="of members before compression"),
    Column("gaps", BigInteger, nullable=False),
    Column("corrections", BigInteger, nullable=False, server_default="0", comment="records delivered again"),
    Column("redactions", JsonType, comment="values that were replaced, by rule; null: none"),
    Column("findings", JsonType, comment="values that a rule reported and did not change; null: none"),
    Column("remarks", JsonType, comment="records that are remarkable, by code; null: none"),
    Column("withheld", JsonType, comment="records with a value that is not delivered, by its name; null: not stated"),
    Column("recipients", JsonType, comment="recipients that its records name, with days; null: it names none"),
    Column("open_slices", Integer, nullable=False, server_default="0", comment="slices that still read it"),
    Column("reading_began_at", UtcTime),
    Column("reading_ended_at", UtcTime),
)

gap = Table(
    "gap",
    metadata,
    Column("id", BigSerial, primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False),
    Column("volume", Integer, nullable=False),
    Column("exporter", String(100), nullable=False),
    Column("dataset", String(100), nullable=False),
    Column("what", Text, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("retryable", Boolean, nullable=False),
    Column("record", JsonType, comment="key of the record that lacks something, by field; null: no single record"),
    Column("fields", JsonType, comment="names of its fields that lack their value; null: not known"),
    Column("resume", JsonType, comment="Reading as JSON that could fill it; null: reading again cannot help"),
    Index(None, "export_id"),
)

pseudonym = Table(
    "pseudonym",
    metadata,
    Column("export_id", ForeignKey("export.id"), primary_key=True),
    Column("kind", String(16), primary_key=True, comment="the word before the number: agent | speaker"),
    Column("digest", String(64), primary_key=True, comment="HMAC-SHA256 of an id under the export's pseudonym_key"),
    Column("number", Integer, nullable=False),
    UniqueConstraint("export_id", "kind", "number"),
)

instruction = Table(
    "instruction",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("tenant", String(200), nullable=False),
    Column("contact_id", String(200), comment="null: every contact of the tenant"),
    Column("exporters", JsonType, comment="exporter names; null: all"),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("delivery", String(16), nullable=False, server_default="subject", comment="subject | tenant_admin"),
    Column("withdrawn_at", UtcTime),
    Column("withdrawn_by", String(200)),
    Index(None, "tenant"),
)

signing_key = Table(
    "signing_key",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("purpose", String(16), nullable=False, comment="archive | link | transfer | receipt | audit"),
    Column("public_jwk", JsonType, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("retired_at", UtcTime),
    Column("revoked_at", UtcTime),
)

incident = Table(
    "incident",
    metadata,
    Column("kind", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", UtcTime, nullable=False),
)
