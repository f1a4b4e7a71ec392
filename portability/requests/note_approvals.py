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
from portability.requests.states import ExportState
from portability.settings import Settings

EXPORT, NOTE = models.export, models.desk_note
EXPORTER = "portability"
"""The exporter of the notes, in copies of the profile `access`."""

_NOTES = select(NOTE.c.id).join(EXPORT, EXPORT.c.id == NOTE.c.export_id)
NOTED = _NOTES.where(subject_locks.of_row(EXPORT, subject_locks.GIVEN)).limit(1)


def needed(connection: Connection, settings: Settings, request: Request) -> tuple[Cause, ...]:
    """Return the cause for which a request waits if its copy will have notes of staff."""
    if not settings.needs_approvals or not _contains_notes(request.profile, request.include):
        return ()
    whom = subject_locks.parameters(request.subject_kind, request.subject_id, request.tenant)
    return (Cause.NOTES,) if connection.scalar(NOTED, whom) else ()


def waiting(connection: Connection, settings: Settings, export: Mapping[Any, Any]) -> Sequence[str]:
    """Return the requests of an export's person that no worker has begun, and whose copies will have its notes."""
    if not settings.needs_approvals or not export["subject_id"]:
        return ()
    queued = (subject_locks.of_row(EXPORT, export), EXPORT.c.state == ExportState.QUEUED)
    found = connection.execute(select(EXPORT.c.id, EXPORT.c.profile, EXPORT.c.include).where(*queued)).all()
    return [row.id for row in found if _contains_notes(row.profile, row.include)]


def hold(connection: Connection, export_ids: Sequence[str], *, actor: Actor) -> None:
    """Let locked requests wait for an approval by another person than the one who wrote the note."""
    for export_id in export_ids:
        if exports.get(connection, export_id)["state"] == ExportState.QUEUED:
            approvals.ask(connection, export_id, [Cause.NOTES], actor=actor)


def _contains_notes(profile: str, include: Sequence[str] | None) -> bool:
    return profile == Profile.ACCESS and (not include or EXPORTER in include)
