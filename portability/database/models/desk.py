"""Tables of people who work on requests: their notes, the lists that they have saved, and who they are.

A note is deleted with the record of its request: `portability/retention/anonymise.py` follows the foreign key.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String, Table, Text, UniqueConstraint

from portability.database.engine import UtcTime
from portability.database.models.columns import metadata

desk_note = Table(
    "desk_note",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("export_id", ForeignKey("export.id"), nullable=False, comment="the request on whose page it was written"),
    Column("about", String(16), nullable=False, comment="request | person: shown with all requests of the person"),
    Column("text", Text, nullable=False, comment="personal data: the person gets it with a copy"),
    Column("written_by", String(200), nullable=False),
    Column("written_at", UtcTime, nullable=False),
    Index(None, "export_id"),
)

desk_view = Table(
    "desk_view",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(400), nullable=False, comment="issuer and id of the person; empty: of the whole team"),
    Column("name", String(60), nullable=False),
    Column("state", String(20), nullable=False, comment="portability/requests/desk_queue.py, DeskView or a state"),
    Column("sort", String(20), nullable=False, comment="DeskSort; empty: the usual order of the list"),
    Column("assignee", String(200), nullable=False, comment="whose list; empty: of the person who looks"),
    Column("saved_by", String(200), nullable=False),
    Column("saved_at", UtcTime, nullable=False),
    UniqueConstraint("owner", "name"),
)

colleague = Table(
    "colleague",
    metadata,
    Column("id", String(200), primary_key=True, comment="of the account, as `export.assignee` has it"),
    Column("role", String(16), nullable=False, comment="staff | officer"),
    Column("logged_in_at", UtcTime, nullable=False, comment="the last time; the row is deleted some months later"),
    Index(None, "logged_in_at"),
)
