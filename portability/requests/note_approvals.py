"""Notes of staff about a person are read by another person before a copy has them: they may name others (GDPR 15(4)).

A copy contains the notes that were written before its worker began. So a request of a person with notes waits for an
approval, and so does a request that no worker has begun when a note is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from portability.database import models
from portability.law.profiles import Profile
from portability.people import subject_locks
from portability.requests import approvals, exports
from portability.requests.acceptance import Request
from portability.requests.approvals import Cause
from portability.requests.policy import Actor
from portability.requests.states import UNBEGUN, ExportState
from portability.settings import Settings

EXPORT, NOTE = models.export, models.desk_note
EXPORTER = "portability"
"""The exporter of the notes, in copies of the profile `access`."""

_WRITERS = select(NOTE.c.written_by).join(EXPORT, EXPORT.c.id == NOTE.c.export_id)
_OF_PERSON = _WRITERS.where(subject_locks.of_row(EXPORT, subject_locks.GIVEN))
LAST_WRITER = _OF_PERSON.order_by(NOTE.c.written_at.desc(), NOTE.c.id).limit(1)


def ask(
    connection: Connection,
    settings: Settings,
    request: Request,
    export_id: str,
    causes: Sequence[Cause] = (),
    *,
    actor: Actor,
) -> None:
    """Hold a new request for these causes, and if its copy will have notes of staff, until they are read.

    Who wrote the last note cannot approve it, also if another person has requested the copy. Raises as `approvals.ask`.
    """
    writer = ""
    if settings.needs_approvals and _contains_notes(request.profile, request.include):
        whom = subject_locks.parameters(request.subject_kind, request.subject_id, request.tenant)
        writer = str(connection.scalar(LAST_WRITER, whom) or "")
    noted = (Cause.NOTES,) if writer else ()
    approvals.ask(connection, export_id, (*causes, *noted), actor=actor, noted_by=writer)


def waiting(connection: Connection, settings: Settings, export: Mapping[Any, Any]) -> Sequence[str]:
    """Return the requests of an export's person that no worker has begun, and whose copies will have its notes."""
    if not settings.needs_approvals or not export["subject_id"]:
        return ()
    unbegun = (subject_locks.of_row(EXPORT, export), EXPORT.c.state.in_(UNBEGUN))
    found = connection.execute(select(EXPORT.c.id, EXPORT.c.profile, EXPORT.c.include).where(*unbegun)).all()
    return [row.id for row in found if _contains_notes(row.profile, row.include)]


def hold(connection: Connection, export_ids: Sequence[str], *, actor: Actor) -> None:
    """Let locked requests wait for an approval by another person than the one who wrote the note.

    Each person who writes a note about a waiting request has a question of their own.
    """
    for export_id in export_ids:
        state = exports.get(connection, export_id)["state"]
        if state == ExportState.QUEUED:
            approvals.ask(connection, export_id, [Cause.NOTES], actor=actor)
        elif state == ExportState.REVIEW and not _has_asked(connection, export_id, actor):
            approvals.ask_also(connection, export_id, Cause.NOTES, actor)


def _has_asked(connection: Connection, export_id: str, actor: Actor) -> bool:
    questions = approvals.waiting(connection, export_id)
    return any(row["cause"] == Cause.NOTES and actor.did(row["asked_by"], row["asked_identity"]) for row in questions)


def _contains_notes(profile: str, include: Sequence[str] | None) -> bool:
    return profile == Profile.ACCESS and (not include or EXPORTER in include)
