"""Table of schedules: what a person has asked for in advance, and when the next copy is due."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, text

from portability.database.engine import JsonType, UtcTime
from portability.database.models.columns import metadata

_STANDS = text("ended_at IS NULL")

schedule = Table(
    "schedule",
    metadata,
    Column("id", String(32), primary_key=True),
    # What each copy contains. Never changed.
    Column("profile", String(16), nullable=False),
    Column("subject_kind", String(16), nullable=False),
    Column("subject_id", String(200), nullable=False),
    Column("subject_ref", String(32), nullable=False),
    Column("tenant", String(200), comment="null: people with an account have none"),
    Column("include", JsonType, comment="exporter names; null: all"),
    Column("formats", JsonType, nullable=False),
    Column("tell_tenants", Boolean, nullable=False),
    Column("language", String(16), comment="of the page on which it was begun"),
    Column("created_at", UtcTime, nullable=False, comment="when the first copy was requested"),
    Column("created_by", String(200), nullable=False),
    Column("created_identity", String(400)),
    # Its progress.
    Column("export_id", String(32), nullable=False, comment="of the last copy; no key: a purge of it changes nothing"),
    Column("next_at", UtcTime, comment="when the clock requests the next copy; null: it has ended"),
    Column("ended_at", UtcTime),
    Column("end_reason", String(16), comment="stopped | complete | account_closed | not_found | denied | recalled"),
    Index(None, "subject_id"),
    Index(None, "ended_at"),
    Index("schedule_next_idx", "next_at", postgresql_where=_STANDS, sqlite_where=_STANDS),
    # A person has one at most.
    Index("schedule_person_idx", "subject_id", unique=True, postgresql_where=_STANDS, sqlite_where=_STANDS),
)
