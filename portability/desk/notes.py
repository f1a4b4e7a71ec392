"""Notes of people who work on requests, about a request or about its person.

A note is personal data of the person, also an opinion (CJEU C-434/16): their copy has it (exporters/portability). The
erasure of the person and the purge of the request's record delete it, and neither log has its text.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, or_, select

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now
from portability.errors import WrongState
from portability.people import subject_locks
from portability.requests import exports, note_approvals, page_cursors
from portability.requests.policy import Actor
from portability.settings import Settings
from portability.trust import audit

TABLE, EXPORT = models.desk_note, models.export
TEXT_MAX = 2000
REPEAT_SECONDS = 60
"""Within this time the same note of the same person is a form that was sent twice."""
PAGE = 20


class NoteSubject(StrEnum):
    """What a note is about."""

    REQUEST = "request"
    PERSON = "person"
    """It is shown with each request of the person."""


class DeletionReason(StrEnum):
    """Why a note was deleted before its time."""

    OTHER_PERSON = "other_person"
    """It is about another person: it must not be in this person's copy (GDPR Art. 15(4))."""
    WRONG = "wrong"
    """What it says is not true (GDPR Art. 5(1)(d))."""


class UnknownNote(BadInput):
    """The id of a note that does not exist, or that belongs to another request."""

    code = "unknown_note"
    default_hint = "reload the page of the request"


def write(connection: Connection, settings: Settings, export_id: str, text: str, about: str, *, actor: Actor) -> str:
    """Store a note and return its id; requests of the person that no worker has begun wait for an approval.

    The id of the first note is returned if the same person writes the same again within a minute.

    Args:
        connection: a writing transaction.
        settings: of the deployment.
        export_id: the request on whose page it is written.
        text: 1 to TEXT_MAX characters.
        about: a NoteSubject.
        actor: who writes it.

    Raises: UnknownExport; BadInput for the text or the subject; WrongState if the person was erased.
    """
    text = text.strip()
    if not 0 < len(text) <= TEXT_MAX or about not in set(NoteSubject):
        raise BadInput(f"a note has 1 to {TEXT_MAX} characters and is about: {', '.join(NoteSubject)}")
    waiting = note_approvals.waiting(connection, settings, exports.get(connection, export_id))
    locked = {each: exports.lock(connection, each) for each in sorted({export_id, *waiting})}
    if locked[export_id]["erased_at"] is not None:
        raise WrongState(f"the person of export {export_id} was erased: nothing is noted about them")
    values = {"export_id": export_id, "about": about, "text": text, "written_by": str(actor)}
    same = (*(TABLE.c[name] == value for name, value in values.items()), TABLE.c.written_at > now(-REPEAT_SECONDS))
    if known := connection.scalar(select(TABLE.c.id).where(*same).limit(1)):
        return str(known)
    identifier = f"nte_{secrets.token_hex(10)}"
    connection.execute(insert(TABLE).values(id=identifier, **values, written_at=now()))
    detail: audit.Detail = {"note": identifier, "about": about}
    note_approvals.hold(connection, waiting, actor=actor)
    audit.record(connection, "note.written", actor=str(actor), export_id=export_id, detail=detail)
    return identifier


def page(
    connection: Connection, export: Mapping[Any, Any], *, after: str | None = None, limit: int = PAGE
) -> tuple[Sequence[RowMapping], str | None]:
    """Return a page of the notes about a request and its person, and the cursor of the next page (None: the last).

    The newest come first; an anonymous request has none. Raises BadInput for a cursor.
    """
    if not export["subject_id"]:
        return (), None
    same_person = select(EXPORT.c.id).where(subject_locks.of_row(EXPORT, export))
    shown = or_(TABLE.c.export_id == export["id"], TABLE.c.about == NoteSubject.PERSON)
    query = select(TABLE).where(TABLE.c.export_id.in_(same_person), shown)
    return page_cursors.newest(connection, query, TABLE.c.written_at, TABLE.c.id, after, limit)


def delete_note(connection: Connection, export_id: str, note_id: str, reason: str, *, actor: Actor) -> None:
    """Delete a note of a request before its time; the log keeps who did it and why.

    Raises: UnknownExport, UnknownNote; BadInput for an unknown reason.
    """
    if reason not in set(DeletionReason):
        raise BadInput(f"unknown reason {reason!r}: use one of {', '.join(DeletionReason)}")
    exports.lock(connection, export_id)
    this_note = (TABLE.c.id == note_id, TABLE.c.export_id == export_id)
    if not connection.execute(delete(TABLE).where(*this_note)).rowcount:
        raise UnknownNote(f"export {export_id} has no note with the id {note_id!r}")
    detail: audit.Detail = {"note": note_id, "reason": reason}
    audit.record(connection, "note.deleted", actor=str(actor), export_id=export_id, detail=detail)
