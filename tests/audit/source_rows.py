"""Rows of the platform, with a value for every column that docs/source-schema.md lists."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from audit.schema_page import PageColumn, PageTable, tables

CANARY = "CANARY"
"""What every column that must never leave the platform contains."""
PAGE_TABLES = tables()

RELATIONS = frozenset(
    {
        *("tenant_id", "user_id", "contact_id", "company_id", "deal_id", "call_id", "conversation_id", "message_id"),
        *("inquiry_id", "agent_id", "staff_id", "assignee_id", "invited_by", "reply_to"),
    }
)
"""Columns that name another row: without a value unless the row gives one."""
ENDS = frozenset({("users", "closed_at"), ("organisations", "closed_at"), ("memberships", "ended_at")}) | {
    (table, "deleted_at") for table in ("contacts", "messages")
}
"""Columns that end a row's life: without a value unless the row gives one."""
ADDRESSES = frozenset({"caller_number", "called_number", "visitor_email", "billing_email", "email", "phone"})
WORDS: Mapping[str, str] = {
    "currency": "EUR",
    "country": "DE",
    "language": "en",
    "locale": "en",
    "time_zone": "Europe/Berlin",
    "direction": "inbound",
    "sender": "contact",
    "speaker": "contact",
    "media_type": "audio/wav",
    "kind": "card",
    "channel": "web",
    "status": "closed",
    "handled_by": "ai_agent",
    "author": "support",
}
"""Texts of columns that have a fixed vocabulary."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row of one table. `raw` has SQL expressions by database, for values that no driver would write."""

    table: str
    identifier: str
    values: Mapping[str, Any]
    raw: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def tenant(self) -> str | None:
        """The tenant that the row names."""
        found: str | None = self.values.get("tenant_id")
        return found


def row(table: str, identifier: str, raw: Mapping[str, Mapping[str, str]] | None = None, /, **given: Any) -> SourceRow:
    """Make a row with a value in every column except those that RELATIONS and ENDS leave to `given`.

    Raises ValueError for a column that docs/source-schema.md does not list.
    """
    page = PAGE_TABLES[table]
    unknown = given.keys() - page.columns.keys()
    if unknown:
        raise ValueError(f"{table} has no columns {sorted(unknown)}")
    made = {column.name: _value(page, column, identifier) for column in page.columns.values()}
    return SourceRow(table, identifier, made | given, raw or {})


@cache
def present() -> datetime:
    """Return the time from which the age of every row counts."""
    return datetime.now(UTC).replace(microsecond=123456)


def days_ago(days: float) -> datetime:
    """Return a time in the past; negative days are in the future."""
    return present() - timedelta(days=days)


def content_of(storage_key: str) -> bytes:
    """Return the bytes of a recording or attachment, which its key determines."""
    return f"the content of {storage_key} ".encode() * 40


def _value(table: PageTable, column: PageColumn, identifier: str) -> Any:
    if column.name == "id":
        return identifier
    if column.fate.startswith("**never**"):
        return f"{CANARY} {table.name}.{column.name} {identifier}"
    if column.name in RELATIONS or (table.name, column.name) in ENDS or column.name in ADDRESSES:
        return None
    if table.name in {"recordings", "attachments"} and column.name in {"storage_key", "bytes", "sha256"}:
        return _of_file(column.name, f"{identifier}.bin")
    return _of_kind(column, identifier)


def _of_file(column: str, key: str) -> str | int:
    content = content_of(key)
    known: Mapping[str, str | int] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return known.get(column, key)


def _of_kind(column: PageColumn, identifier: str) -> Any:
    if column.kind == "time":
        return _time(column.name)
    if column.kind == "text":
        return WORDS.get(column.name, f"{column.name} of {identifier}")
    fixed: Mapping[str, Any] = {
        "date": days_ago(28).date(),
        "integer": 3,
        "float": 0.5,
        "exact numeric": Decimal("12.50"),
        "boolean": column.name != "legal_hold",
        "JSON": [] if column.name in {"tags", "participants", "lines", "urls", "topics"} else {},
    }
    return fixed[column.kind]


def _time(column: str) -> datetime:
    known = {"created_at": 30, "retained_until": -365, "email_verified_at": 2000, "phone_verified_at": 2000}
    return days_ago(known.get(column, 29))


def call(name: str, tenant: str, **given: Any) -> Iterator[SourceRow]:
    """Make a call with two segments, a recording and an analysis; their ids end in `name`."""
    yield row("calls", f"call_{name}", tenant_id=tenant, **given)
    own = {"tenant_id": tenant, "call_id": f"call_{name}"}
    times = {"created_at": given["created_at"]} if "created_at" in given else {}
    staff = {"staff_id": given.get("staff_id"), "speaker": "human_agent" if given.get("staff_id") else "ai_agent"}
    yield row("transcripts", f"seg_{name}_1", position=0, **own, **times)
    yield row("transcripts", f"seg_{name}_2", position=1, **own, **times, **staff)
    yield row("recordings", f"rec_{name}", **own, **times)
    yield row("call_analyses", f"ana_{name}", **own, **times)


def chat(name: str, tenant: str, *, staff_id: str | None = None, **given: Any) -> Iterator[SourceRow]:
    """Make a chat with two messages and an attachment; their ids end in `name`. `staff_id` wrote the second message."""
    yield row("conversations", f"chat_{name}", tenant_id=tenant, **given)
    own = {"tenant_id": tenant, "conversation_id": f"chat_{name}"}
    times = {"created_at": given["created_at"]} if "created_at" in given else {}
    answer = {"staff_id": staff_id, "sender": "human_agent" if staff_id else "ai_agent"}
    yield row("messages", f"msg_{name}_1", position=0, **own, **times)
    yield row("messages", f"msg_{name}_2", position=1, reply_to=f"msg_{name}_1", **own, **times, **answer)
    yield row("attachments", f"att_{name}", message_id=f"msg_{name}_1", **own, **times)


def service(name: str, tenant: str, **links: str | None) -> Iterator[SourceRow]:
    """Make a ticket, an action of an AI agent, an answer about satisfaction and a score, with the same links."""
    for table, prefix in (
        ("tickets", "tic"),
        ("ai_agent_actions", "aia"),
        ("satisfaction", "sat"),
        ("routing_scores", "rsc"),
    ):
        agent = {"agent_id": "age_aurora"} if table == "ai_agent_actions" else {}
        yield row(table, f"{prefix}_{name}", tenant_id=tenant, **agent, **links)
