"""Intake of scheduled copies: each is a request of the person, decided by the same policy and the same limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, RowMapping, select

from portability.api import Contact, SubjectKind
from portability.api.errors import BadInput
from portability.database import deployment, models
from portability.errors import WrongState
from portability.law.profiles import Profile
from portability.people import subject_locks
from portability.requests import acceptance, approvals, intake
from portability.requests.acceptance import Request
from portability.requests.approvals import Cause
from portability.requests.login_strength import PRESENT, Auth
from portability.requests.outcome import OwnOutcome
from portability.requests.policy import Actor, ActorRole
from portability.requests.states import ExportState
from portability.schedules import schedules
from portability.schedules.schedules import EndReason
from portability.settings import Settings
from portability.sources import exporter_names

EXPORT = models.export
CHANNEL = "schedule"


def begin(
    connection: Connection,
    settings: Settings,
    request: Request,
    *,
    actor: Actor,
    auth: Auth,
    contact_changed_at: datetime | None = None,
    mandate_id: str | None = None,
) -> tuple[str, bool]:
    """Begin a schedule and request its first copy; returns what `intake.take` returns.

    Raises: BadInput if it is not for the person's own data with an account; WrongState if they have a schedule; what
    `intake.take` raises.
    """
    if not is_possible(request, actor):
        raise BadInput("copies are scheduled by a person with an account, for their own data")
    if request.since is not None or request.until is not None:
        raise BadInput("scheduled copies have no period: each contains all data", hint="remove the dates")
    whom = (request.subject_kind, request.subject_id, request.tenant)
    subject_locks.lock(connection, whom)
    if schedules.standing(connection, whom) is not None:
        raise WrongState("copies of this person are scheduled already", hint="stop them first")
    given = {"contact_changed_at": contact_changed_at, "mandate_id": mandate_id}
    taken = intake.take(connection, settings, request, actor=actor, auth=auth, **given)  # type: ignore[arg-type]  # of two types
    schedules.add(connection, request, taken[0], settings.place.zone, actor=actor)
    return taken


def is_possible(request: Request, actor: Actor) -> bool:
    """Return whether a request can be repeated in the name of the actor: with an account, for their own data."""
    is_own = (request.subject_kind, request.subject_id) == (SubjectKind.USER, actor.id)
    return is_own and actor.role == ActorRole.SUBJECT and request.profile is not Profile.SWITCH


def take_due(connection: Connection, settings: Settings, due: RowMapping, contact: Contact | None) -> str | None:
    """Request the copy that is due, in the name of the person; None: it is not due now, or the schedule has ended.

    The login at its begin counts for all copies. Everything else is decided anew, as for a request of the person.
    `contact` is what the directory knows of them now.

    Raises: UnknownExporter, UnknownFormat; what `intake.take` raises.
    """
    subject_locks.lock(connection, subject_locks.name_of_row(due))
    row = schedules.lock_due(connection, due)
    if row is None:
        return None
    is_closed = contact is not None and not contact.can_log_in
    if (reason := EndReason.ACCOUNT_CLOSED if is_closed else _refused(connection, row["export_id"])) is not None:
        schedules.end(connection, row, reason, actor="clock")
        return None
    zone = settings.place.zone
    if earlier := _requested(connection, row):
        schedules.advance(connection, row, earlier, zone)
        return None
    checked = acceptance.check(
        **schedules.asked_again(row),
        regimes=settings.laws,
        place=settings.place,
        channel=CHANNEL,
        exporters=exporter_names(settings),
        at=deployment.clock_of(connection),
    )
    changed_at = contact.changed_at if contact is not None and settings.needs_approvals else None
    wanted = replace(checked, language=row["language"])
    given = {"actor": schedules.owner(row), "auth": PRESENT, "contact_changed_at": changed_at}
    export_id, _is_new = intake.take(connection, settings, wanted, **given)  # type: ignore[arg-type]  # of three types
    schedules.advance(connection, row, export_id, zone)
    return export_id


def _requested(connection: Connection, row: RowMapping) -> str | None:
    """Return the copy that a lost history has requested already: `reconcile` brings back exports, not this mark."""
    own = (subject_locks.of_row(EXPORT, row), EXPORT.c.channel == CHANNEL, EXPORT.c.created_at >= row["next_at"])
    return connection.scalar(select(EXPORT.c.id).where(*own).order_by(EXPORT.c.created_at.desc()).limit(1))


def _refused(connection: Connection, export_id: str) -> EndReason | None:
    """Return why the last copy must be the last; None: the next may be requested."""
    query = select(EXPORT.c.state, EXPORT.c.outcome_own).where(EXPORT.c.id == export_id)
    last = connection.execute(query).one_or_none()
    if last is None:
        return None
    if last.outcome_own == OwnOutcome.NOT_FOUND:
        return EndReason.NOT_FOUND
    if any(each["cause"] == Cause.NOT_FOUND for each in approvals.waiting(connection, export_id)):
        return EndReason.NOT_FOUND
    return {ExportState.DENIED: EndReason.DENIED, ExportState.RECALLED: EndReason.RECALLED}.get(last.state)
