"""Received transfers: their rows, and what officers see of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, delete, literal, select, tuple_

from portability.api import JSON
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import UtcTime
from portability.inbox.states import QUARANTINED
from portability.messages import outbox
from portability.people import subject_locks
from portability.requests import page_cursors
from portability.requests.policy import Facts

TABLE, SENDER, DIFFERENCE = models.received_transfer, models.sender, models.received_difference
PAGE = 50
COUNTED = ("new", "changed", "same", "kept", "conflicts", "refused", "quarantined")
"""What is counted of each dataset (docs/importing.md#the-report)."""
UNDONE = ("removed", "restored", "files", "conflicts", "kept")
"""What is said of an undoing (docs/importing.md#undoing-an-import)."""
_SENDER_COLUMNS = ("name", "issuer", "jwks_url")


class UnknownReceived(BadInput):
    """No received transfer has this id."""

    code = "unknown_received"
    default_hint = "`portability inbox list` lists them"


def get(connection: Connection, identifier: str, *, lock: bool = False) -> RowMapping:
    """Return a received transfer, with name, issuer and key set of its sender; locked. Raises UnknownReceived."""
    query = with_sender().where(TABLE.c.id == identifier)
    row = connection.execute(query.with_for_update(of=TABLE) if lock else query).mappings().one_or_none()
    if row is None:
        raise UnknownReceived("unknown received transfer: none has this id")
    return row


def page(
    connection: Connection, *, state: str | None = None, after: str | None = None, limit: int = PAGE
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of the received transfers, the newest first, and the cursor of the next page (None: the last).

    Without a `state`, those that await a decision come before the others. Raises BadInput for a cursor.
    """
    if state:
        query = with_sender().where(TABLE.c.state == state)
        return page_cursors.newest(connection, query, TABLE.c.created_at, TABLE.c.id, after, limit)
    last_part = 0
    older: list[ColumnElement[bool]] = []
    if after:
        last_part, at, last_id = page_cursors.decoded_in_part(after)
        older = [tuple_(TABLE.c.created_at, TABLE.c.id) < tuple_(literal(at, UtcTime()), literal(last_id))]
    waits = TABLE.c.state.in_(QUARANTINED)
    found: list[RowMapping] = []
    # Each part in a query of its own, for which there is an index: together all rows would be sorted.
    for part, which in enumerate((waits, ~waits)):
        if part >= last_part:
            query = with_sender().add_columns(literal(part).label("part")).where(which)
            query = query.where(*older) if part == last_part else query
            newest = query.order_by(TABLE.c.created_at.desc(), TABLE.c.id.desc()).limit(limit + 1 - len(found))
            found += connection.execute(newest).mappings().all()
    if len(found) <= limit:
        return found, None
    last_row = found[limit - 1]
    return found[:limit], page_cursors.encoded_in_part(last_row["part"], last_row["created_at"], last_row["id"])


def of_subject(connection: Connection, kind: str, identifier: str) -> Sequence[str]:
    """Return the ids of the received transfers about a person without tenant."""
    return connection.scalars(select(TABLE.c.id).where(subject_locks.of(TABLE, kind, identifier, None))).all()


def facts_of(row: Mapping[Any, Any]) -> Facts | None:
    """Return the facts that the policy needs: whose data it is here; None before an officer has said it."""
    return Facts(row["subject_kind"], row["subject_id"], row["tenant"]) if row["subject_kind"] else None


def subject_name(row: Mapping[Any, Any]) -> str | None:
    """Return whose data it is here, such as `user:usr_1`; None before an officer has said it."""
    return f"{row['subject_kind']}:{row['subject_id']}" if row["subject_kind"] else None


def view(row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return a received transfer as JSON, for officers."""
    said = ("profile", "archive_kind", "archive_subject", "archive_export", "revision", "consent")
    counted = ("volumes", "files", "bytes")
    decided = ("tenant", "company", "on_conflict", "comparison", "import_id", "reason", "error_code", "notice")
    times = ("offer_ends_at", "created_at", "fetched_at", "decided_at", "ended_at", "noticed_at", "receipted_at")
    sender: dict[str, JSON] = {"id": row["sender_id"], "name": row["sender_name"], "issuer": row["sender_issuer"]}
    return {
        "id": row["id"],
        "state": row["state"],
        "sender": sender,
        "transfer": row["sent_id"],
        **{name: row[name] for name in (*said, *counted)},
        "subject": subject_name(row),
        **{name: row[name] for name in decided},
        "receipt": row["receipt"],
        "report": _counts(row["report"]),
        "undone": undone(row),
        **{name: rfc3339(row[name]) for name in times},
    }


def undone(row: Mapping[Any, Any]) -> Mapping[str, Any] | None:
    """Return what undoing its import has done, with the first rows that stayed; None: it was not undone."""
    found = (row["report"] or {}).get("undone")
    return {name: found[name] for name in UNDONE} if found else None


def to_undo(connection: Connection, row: Mapping[Any, Any]) -> Sequence[tuple[str, str | None]]:
    """Return the imports that have to be undone before it can be imported, in this order.

    Each has the id of the received transfer that it is of; None: it was made by the command line.
    """
    runs = (row["report"] or {}).get("undo", [])
    query = select(TABLE.c.import_id, TABLE.c.id).where(TABLE.c.import_id.in_(runs))
    transfers = {row.import_id: row.id for row in connection.execute(query)} if runs else {}
    return [(run, transfers.get(run)) for run in runs]


def _counts(report: Mapping[str, Any] | None) -> JSON:
    """Return what an import changes or has changed, counted by dataset."""
    if not report or "datasets" not in report:
        return None
    names = ("exporter", "dataset", *COUNTED, "not_imported")
    lines: list[JSON] = [{name: line[name] for name in names} for line in report["datasets"]]
    left: list[JSON] = [{name: line[name] for name in ("exporter", "dataset", "reason")} for line in report["left"]]
    return {"datasets": lines, "left": left}


def forget(connection: Connection, which: ColumnElement[bool]) -> None:
    """Delete received transfers with their differences and messages; the process deletes their files."""
    found = select(TABLE.c.id).where(which)
    connection.execute(delete(DIFFERENCE).where(DIFFERENCE.c.received_id.in_(found)))
    connection.execute(delete(TABLE).where(which))
    outbox.purge_unowned(connection)


def forget_subject(connection: Connection, kind: str, identifier: str, tenant: str | None) -> None:
    """Delete the received transfers about a person or company here."""
    forget(connection, subject_locks.of(TABLE, kind, identifier, tenant))


def with_sender() -> Select[Any]:
    """Return the query for received transfers, with name, issuer and key set of their senders."""
    columns = (SENDER.c[name].label(f"sender_{name}") for name in _SENDER_COLUMNS)
    return select(TABLE, *columns).join(SENDER, SENDER.c.id == TABLE.c.sender_id)
