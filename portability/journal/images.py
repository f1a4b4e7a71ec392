"""Images: the rows that an event of the audit log is about, as JSON, and how they are written back.

An export has one image: its own row with all rows that refer to it, and the reviews of its subject. After a download,
a message or a step of a transfer it has only the rows that such events change. Every other thing with an id in an
event's details is one row.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, insert, select, update

from portability.api import SubjectKind
from portability.database import models
from portability.database.rows import row_from_json, row_to_json
from portability.messages import outbox
from portability.people import subject_locks, subjects
from portability.requests import slices

Image: TypeAlias = dict[str, list[dict[str, Any]]]
"""Rows by table, values as JSON; times are ISO 8601 with time zone."""

EXPORT, REVIEW = models.export, models.review
ONE_ROW: Mapping[str, Table] = {
    "hold": models.legal_hold,
    "mandate": models.mandate,
    "instruction": models.instruction,
    "recipient": models.recipient,
    "authorisation": models.authorisation,
    "review": models.review,
    "sender": models.sender,
    "received": models.received_transfer,
    "schedule": models.schedule,
    "kid": models.signing_key,
}
"""Tables by the name that an event's details give to the id of a row."""
UNCHANGING = "access."
"""Beginning of the actions that read, or were refused."""
PASSING = (
    *("link.", "code.", "transfer.", "copy.", "webhook.", "notice.", "notification.", "deletion.", "volume.failed"),
    "note.",
)
"""Beginnings of actions that change neither the export itself nor how far its archive is."""
OF_WORK = frozenset(
    {EXPORT, models.slice, models.volume, models.ledger, models.gap, models.pseudonym, models.earlier_revision}
)
"""Tables of an export that such an action does not change; reviews neither."""
WHOLE_ONLY = frozenset(table.name for table in OF_WORK | {REVIEW, subjects.REF})
"""Tables that only the image of another action has."""
FLEETING = frozenset({models.code, models.idempotency_key})
"""Tables whose rows are valid for minutes: they are not kept."""
COUNTED = frozenset(
    {models.deadline_event, models.deleted_volume, models.gap, models.link_claim, models.transfer_receipt}
)
"""Tables whose ids the database counts: rows get new ids, because the lost ids may be in use again."""


@dataclass(frozen=True, slots=True)
class ImageScope:
    """What an image shows: an export, or one row of another table."""

    kind: str
    """`export`, or a name of ONE_ROW."""
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> ImageScope:
        return cls(*text.split(":", 1))


def scopes(event: Mapping[Any, Any]) -> Iterator[ImageScope]:
    """Yield what an event is about; nothing for an event that changed nothing."""
    if str(event["action"]).startswith(UNCHANGING):
        return
    if event["export_id"]:
        yield ImageScope("export", event["export_id"])
    for name, value in event["detail"].items():
        if name in ONE_ROW and isinstance(value, str):
            yield ImageScope(name, value)


def is_passing(event: Mapping[Any, Any]) -> bool:
    """Return whether an event leaves the export's row and its work unchanged."""
    return str(event["action"]).startswith(PASSING)


def take(connection: Connection, scope: ImageScope, *, passing: bool) -> Image:
    """Return the image of a scope; of an export, with `passing`, without its row and its work. Empty: it is gone."""
    if scope.kind != "export":
        return _with_ref(connection, _row_with_messages(connection, scope))
    found: Image = {}
    for table, which in _of_export(scope.id, passing=passing):
        found |= _rows(connection, table, which)
    if not passing and (row := connection.execute(select(EXPORT).where(EXPORT.c.id == scope.id)).mappings().first()):
        found |= _rows(connection, REVIEW, subject_locks.of_row(REVIEW, row))
    return _with_ref(connection, found)


def stored_ref(connection: Connection, scope: ImageScope, image: Image) -> str | None:
    """Return the pseudonym in the rows of a scope, of the person whose data its image contains; None: it has none."""
    if scope.kind == "export":
        return connection.scalar(select(EXPORT.c.subject_ref).where(EXPORT.c.id == scope.id)) or None
    return next((row["ref"] for row in image.get(subjects.REF.name, ())), None)


def subject(image: Image) -> tuple[str, str, str | None] | None:
    """Return kind, id and tenant of the person that one row is about; None: it is about no single person."""
    for row in (row for rows in image.values() for row in rows):
        if row.get("subject_id"):
            return row["subject_kind"], row["subject_id"], row.get("tenant")
        if row.get("contact_id"):
            return SubjectKind.CONTACT, row["contact_id"], row["tenant"]
    return None


def write(connection: Connection, scope: ImageScope, image: Image, *, passing: bool) -> None:
    """Replace the rows of a scope by those of its image, in the caller's transaction; `passing` as in `take`.

    No claim of a worker survives: leases are gone and tokens are new. Raises IntegrityError if a row is missing that
    the image refers to, such as a recipient.
    """
    for row in image.get(subjects.REF.name, ()):
        subjects.remember_ref(connection, row)
    if scope.kind != "export":
        _write_one(connection, scope, image)
        return
    tables = list(_of_export(scope.id, passing=passing))
    for table, which in reversed([*tables, *_fleeting(scope.id)]):
        connection.execute(delete(table).where(which))
    for tenant in {row["tenant"] for row in image.get(models.slice.name, ())}:
        slices.enter_turns(connection, tenant)
    for table, _ in tables:
        if table not in {models.gap, models.slice}:
            _insert(connection, table, image.get(table.name, ()))
    _insert_work(connection, image)
    for row in image.get(REVIEW.name, ()):
        _write_row(connection, REVIEW, row)


def _write_one(connection: Connection, scope: ImageScope, image: Image) -> None:
    """Write the row of a scope other than an export."""
    table, which = _one_row(scope)
    if table.name not in image:
        connection.execute(delete(table).where(which))
    for written in (table, outbox.TABLE):
        for row in image.get(written.name, ()):
            _write_row(connection, written, row)


def _one_row(scope: ImageScope) -> tuple[Table, ColumnElement[bool]]:
    """Return the table of a scope other than an export, and the condition for its row.

    A key has the keys of its purpose with it: a new key retires them.
    """
    table = ONE_ROW[scope.kind]
    same = _key(table) == scope.id
    if table is models.signing_key:
        return table, table.c.purpose == select(table.c.purpose).where(same).scalar_subquery()
    return table, same


def _row_with_messages(connection: Connection, scope: ImageScope) -> Image:
    """Return the row of a scope other than an export; of a consent or a received transfer, with messages."""
    found = _rows(connection, *_one_row(scope))
    about = {"authorisation": outbox.about_consent, "received": outbox.about_received}.get(scope.kind)
    if about:
        found |= _rows(connection, outbox.TABLE, about(scope.id))
    return found


def _with_ref(connection: Connection, image: Image) -> Image:
    """Add the row with the pseudonym of the person that an image is about."""
    whom = subject(image)
    row = subjects.ref_row(connection, *whom) if whom else None
    return image | {str(subjects.REF.name): [dict(row)]} if row else image


def _write_row(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    """Insert a row, or change it: it is not replaced, because other rows may refer to it."""
    same = _key(table) == row[_key(table).name]
    if connection.scalar(select(_key(table)).where(same)):
        (values,) = _from_json(table, [row])
        connection.execute(update(table).where(same).values(**values))
    else:
        _insert(connection, table, [row])


def _of_export(export_id: str, *, passing: bool) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Yield the tables of an export's image, each after those that it refers to, with the condition for its rows."""
    for table in models.metadata.sorted_tables:
        if table not in FLEETING and not (passing and table in OF_WORK):
            yield from ((table, which) for which in _belongs(table, export_id))


def _fleeting(export_id: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    for table in FLEETING:
        yield from ((table, which) for which in _belongs(table, export_id))


def _belongs(table: Table, export_id: str) -> Sequence[ColumnElement[bool]]:
    """Return the condition for rows of an export; none for a table that does not refer to exports."""
    if table is EXPORT:
        return [EXPORT.c.id == export_id]
    if table is models.recipient_notice:
        return [table.c.export_id == export_id]
    for key in sorted(table.foreign_keys, key=lambda key: key.column.table is not EXPORT):
        if above := _belongs(key.column.table, export_id):
            return [key.parent.in_(select(key.column).where(*above))]
    return []


def _key(table: Table) -> Column[Any]:
    (column,) = table.primary_key.columns
    return column


def _rows(connection: Connection, table: Table, which: ColumnElement[bool]) -> Image:
    query = select(table).where(which).order_by(*table.primary_key.columns)
    rows = [row_to_json(row) for row in connection.execute(query).mappings()]
    return {str(table.name): rows} if rows else {}


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), list(_from_json(table, rows)))


def _insert_work(connection: Connection, image: Image) -> None:
    """Insert gaps, which get new ids, and the slices whose readings name them."""
    new_ids: dict[int, int] = {}
    for row in image.get(models.gap.name, ()):
        (values,) = _from_json(models.gap, [row])
        fresh = connection.execute(insert(models.gap).values(**values).returning(models.gap.c.id)).scalar_one()
        new_ids[row["id"]] = fresh
    rows = image.get(models.slice.name, ())
    for reading in (reading for row in rows for reading in row.get("readings") or ()):
        if "gaps" in reading:
            reading["gaps"] = [new_ids.get(identifier, identifier) for identifier in reading["gaps"]]
    _insert(connection, models.slice, rows)


def _from_json(table: Table, rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        values = row_from_json(table, row)
        if table in COUNTED:
            del values["id"]
        if "lease_until" in values:
            values["lease_until"] = None
        if "claimed_at" in values:
            values |= {"owner": None, "token": secrets.token_hex(16), "fence": values["fence"] + 1}
        yield values
