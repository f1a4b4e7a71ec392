"""Tables of feeds: what a recipient already has, so that the next archive contains only the changes (docs/feeds.md)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from portability.database.engine import JsonType, UtcTime
from portability.database.models.columns import metadata

feed = Table(
    "feed",
    metadata,
    Column("id", String(32), primary_key=True),
    # What each archive of it contains. Never changed.
    Column("profile", String(16), nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False),
    Column("subject_ref", String(32), nullable=False),
    Column("tenant", String(200)),
    Column("include", JsonType, comment="exporter names; null: all"),
    Column("formats", JsonType, nullable=False),
    Column("authorisation_id", String(32), comment="the consent that it serves and ends with; null: none"),
    Column(
        "consent_ends_at", UtcTime, comment="when that consent expires; null: the clock has not seen yet that it stands"
    ),
    Column("every_days", Integer, comment="how often the clock requests the next archive; null: on request only"),
    Column("until", UtcTime, comment="when it ends by itself"),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_identity", String(400)),
    # Its progress.
    Column("number", Integer, nullable=False, comment="of the last archive that became ready; 0: none"),
    Column("export_id", String(32), comment="the export of that archive"),
    Column("progress", JsonType, comment="positions among the changes that sources state; null: compare everything"),
    Column("next_at", UtcTime, comment="when the clock requests the next archive"),
    Column("kid", String(64), comment="of the link key that seals sealed_key"),
    Column("sealed_key", LargeBinary, comment="the key of its parts; erasing it makes them unreadable"),
    Column("pseudonym_key", String(64), comment="derives its pseudonyms of other people, the same in all its archives"),
    Column("ended_at", UtcTime),
    Column("ended_by", String(200)),
    Index(None, "subject_id"),
    Index(None, "authorisation_id"),
    Index(None, "next_at"),
)

feed_part = Table(
    "feed_part",
    metadata,
    Column("feed_id", ForeignKey("feed.id"), primary_key=True),
    Column("number", Integer, primary_key=True, comment="of the archive for which it was written"),
    Column("export_id", String(32), primary_key=True, comment="of that archive; no key: a purge of it leaves the feed"),
    Column("volume", BigInteger, primary_key=True),
    Column("piece", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, comment="keys and hashes of delivered records, encrypted"),
    Column(
        "lookup",
        LargeBinary,
        comment="of datasets whose changes a source states: what finds single records, encrypted; else null",
    ),
)

feed_step = Table(
    "feed_step",
    metadata,
    Column("feed_id", ForeignKey("feed.id"), primary_key=True),
    Column("export_id", String(32), primary_key=True, comment="the archive that is being written"),
    Column("sealed", LargeBinary, nullable=False, comment="which keys it reads, encrypted like the parts"),
)

feed_archive = Table(
    "feed_archive",
    metadata,
    Column("feed_id", ForeignKey("feed.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("export_id", String(32), nullable=False),
    Column("mode", String(16), nullable=False, comment="as in changes.json"),
    Column("datasets", JsonType, nullable=False, comment="counts of records, tombstones by reason, and gaps"),
    Column("bytes", BigInteger, nullable=False, comment="of all its volumes"),
    Column("began_at", UtcTime, nullable=False),
    Column("ready_at", UtcTime, nullable=False),
    Column("cursor", Text, nullable=False, comment="its signed cursor, as in changes.json"),
    Column(
        "settled",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="its recipient has it, or is sent nothing of its feed; false: it may lack it",
    ),
)

feed_pseudonym = Table(
    "feed_pseudonym",
    metadata,
    Column("feed_id", ForeignKey("feed.id"), primary_key=True),
    Column("kind", String(16), primary_key=True, comment="the word before the number: agent | speaker"),
    Column("digest", String(64), primary_key=True, comment="HMAC-SHA256 of an id under the feed's pseudonym_key"),
    Column("number", Integer, nullable=False),
    UniqueConstraint("feed_id", "kind", "number"),
)
