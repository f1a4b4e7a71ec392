"""Acceptance of requests: a request is checked completely before anything is written, and becomes one export row."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping, exists, func, insert, select

from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now
from portability.database.rows import insert_row
from portability.errors import BadDate, BadSubject, TooManyExports, UnknownProfile
from portability.law.countries import COUNTRIES
from portability.law.deadlines import UTC_CALENDAR, BusinessCalendar, Deadline, DeadlineClock, check_notice, deadline
from portability.law.profiles import Profile
from portability.law.regime import Regime, SubjectFacts
from portability.law.regimes import DEFAULT_REGIMES, Law, applying
from portability.messages import outbox
from portability.people import subject_locks, subjects
from portability.plugins import check_exporter_names
from portability.requests import slices
from portability.requests.dates import start_of_day
from portability.requests.forms import check_formats
from portability.requests.policy import Actor, ActorRole
from portability.requests.states import ONGOING, ExportState
from portability.trust import audit

MONTH_DAYS = 30
RECEIVED_MAX = timedelta(days=3653)
"""How long ago a request was received at the most: an earlier date is a mistyped one."""
CHANNEL = re.compile(r"[a-z0-9_-]{1,32}")


@dataclass(frozen=True, slots=True)
class Request:
    """A checked request."""

    profile: Profile
    subject_kind: SubjectKind
    subject_id: str
    tenant: str | None
    include: tuple[str, ...] | None
    formats: tuple[str, ...]
    since: datetime | None
    until: datetime | None
    require_complete: bool
    reason: str | None
    channel: str
    received_at: datetime
    due: Deadline
    states_receipt: bool = False
    """Whether `received_at` was stated; else it is the time at which the request was checked."""
    notice_ends_at: datetime | None = None
    residence: str | None = None
    """The subject's country, ISO 3166-1 alpha-2; None: not known."""
    language: str | None = None
    """Of the page on which it was made: for messages to a subject whose language the directory does not know."""
    tell_tenants: bool = False
    """Whether the person agrees that tenants are informed that decide over parts of the data."""
    feed_id: str | None = None
    """The feed whose next archive it asks for."""

    @property
    def due_at(self) -> datetime:
        return self.due.at


def check(
    *,
    profile: str,
    subject: str,
    tenant: str | None = None,
    include: Sequence[str] | None = None,
    formats: Sequence[str] | None = None,  # None: those of the profile
    since: str | None = None,
    until: str | None = None,
    require_complete: bool = False,
    reason: str | None = None,
    channel: str = "cli",
    received_at: str | None = None,
    notice_ends_at: str | None = None,
    residence: str | None = None,
    tell_tenants: bool = False,
    regimes: Sequence[Law] = DEFAULT_REGIMES,
    place: BusinessCalendar = UTC_CALENDAR,
    exporters: Collection[str] | None = None,  # names of the deployment's exporters; None: all installed exporters
    at: datetime | None = None,  # the time of the control database; None: of this machine
) -> Request:
    """Check a caller's input and return the request, due by the strictest of the regimes that apply to the subject.

    Raises: UnknownProfile, BadSubject, UnknownExporter, UnknownFormat, MissingExtra, UnknownRegime, BadDate, BadInput.
    """
    chosen, (kind, identifier, owner) = _profile(profile), subjects.parse(subject, tenant)
    _check_kind(chosen, kind)
    (begin, end), country = _period(since, until, place), _residence(residence)
    received = _received(received_at, place, at or datetime.now(UTC))
    laws = applying(regimes, chosen, SubjectFacts(kind, country, owner))
    notice = _notice(notice_ends_at, laws, received, place)
    return Request(
        profile=chosen,
        subject_kind=kind,
        subject_id=identifier,
        tenant=owner,
        include=_include(include, exporters),
        formats=check_formats(chosen, formats),
        since=begin,
        until=end,
        require_complete=require_complete,
        reason=reason,
        channel=_channel(channel),
        received_at=received,
        states_receipt=bool(received_at),
        due=deadline(laws, chosen, DeadlineClock(received, notice_ends_at=notice), place),
        notice_ends_at=notice,
        residence=country,
        tell_tenants=tell_tenants,
    )


def accept(
    connection: Connection,
    request: Request,
    *,
    actor: Actor,
    per_month: int | None = None,
    open_max: int | None = None,
    mandate_id: str | None = None,
) -> tuple[str, bool]:
    """Store the request as an export and return (its id, whether it is new).

    An open export of an identical request is returned instead of a second one: asking twice gives one archive.
    `per_month` limits the subject's exports in 30 days, `open_max` those that are open at once. `mandate_id`
    is a mandate that was already checked.

    Raises: ErasureRunning, TooManyExports.
    """
    # Locked, so that of two simultaneous requests the second sees the first one's row.
    subject_locks.exclude_erasure(connection, whom := (request.subject_kind, request.subject_id, request.tenant))
    ref, is_first = subjects.assign_ref(connection, *whom)
    if actor.role == ActorRole.SUBJECT and whom == (SubjectKind.USER, actor.id, None):
        by = str(replace(actor, ref=ref))  # already known: the audit log would look it up again
    else:
        by = str(actor)
    ongoing = () if is_first else _ongoing(connection, request, ref)
    if (same := _twin(ongoing, request)) is not None:
        audit.record(connection, "request.repeated", actor=by, export_id=same)
        return same, False
    if per_month is not None and not is_first and _ready_in_a_month(connection, ref) >= per_month:
        raise TooManyExports(f"limit reached: {per_month} exports of this subject became ready in {MONTH_DAYS} days")
    if open_max and len(ongoing) >= open_max:
        raise TooManyExports(f"limit reached: {open_max} requests of this subject are open")
    identifier = base64.b32encode(secrets.token_bytes(15)).decode().lower()
    detail = {"profile": request.profile, "subject": ref, "kind": request.subject_kind, "channel": request.channel}
    store(connection, request, identifier, ref, actor=actor, mandate_id=mandate_id, is_further=bool(ongoing))
    outbox.queue_acknowledgement(connection, identifier, request.subject_kind)
    audit.record(connection, "request.accepted", actor=by, export_id=identifier, detail=detail)
    return identifier, True


def store(
    connection: Connection,
    request: Request,
    identifier: str,
    ref: str,
    *,
    actor: Actor,
    mandate_id: str | None = None,
    is_further: bool = False,
) -> None:
    """Insert the request's row and its first slice, without the checks of `accept`.

    `is_further`: whether the subject has another open request.
    """
    row = _row(request, identifier, ref, actor) | {"mandate_id": mandate_id}
    insert_row(connection, insert(models.export), row)
    slices.open_first(connection, row, is_further=is_further)


def _row(request: Request, identifier: str, ref: str, actor: Actor) -> dict[str, object]:
    return {
        **_compared_columns(request),
        "id": identifier,
        "subject_id": request.subject_id,
        "subject_ref": ref,
        "reason": request.reason,
        "channel": request.channel,
        "requested_by": str(actor),
        "requested_identity": actor.identity,
        "received_at": request.received_at,
        "residence": request.residence,
        "language": request.language,
        **deadline_columns(request.due),
        "created_at": now(),
        "state": ExportState.QUEUED,
        "volume_counter": 0,
        "revision": 1,
    }


def deadline_columns(due: Deadline) -> dict[str, object]:
    """Return the columns of an export that state its due date."""
    return {
        "due_at": due.at,
        "due_regime": due.regime,
        "due_figure": due.figure,
        "retrieval_ends_at": due.retrieval_ends_at,
    }


def _compared_columns(request: Request) -> dict[str, object]:
    return {
        "profile": request.profile,
        "subject_kind": request.subject_kind,
        "tenant": request.tenant,
        "include": list(request.include) if request.include else None,
        "formats": list(request.formats),
        "since": request.since,
        "until": request.until,
        "require_complete": request.require_complete,
        "notice_ends_at": request.notice_ends_at,
        "tell_tenants": request.tell_tenants,
        "feed_id": request.feed_id,
    }


def _ongoing(connection: Connection, request: Request, ref: str) -> Sequence[RowMapping]:
    """Return the subject's open requests, also those that wait for a decision: each takes a place in the queue."""
    table = models.export
    columns = (table.c[name] for name in ("id", "cancel_requested_at", *_compared_columns(request)))
    query = select(*columns).where(table.c.subject_ref == ref, table.c.state.in_(ONGOING))
    return connection.execute(query).mappings().all()


def _twin(ongoing: Sequence[RowMapping], request: Request) -> str | None:
    """Return the id of the open request that is identical to a new one, unless it is being cancelled."""
    compared = _compared_columns(request) | {"cancel_requested_at": None}
    for row in ongoing:
        if all(row[name] == value for name, value in compared.items()):
            return str(row["id"])
    return None


def _ready_in_a_month(connection: Connection, ref: str) -> int:
    """Count successful exports only: failed, cancelled or denied exports gave no copy (GDPR Art. 12(5), 15(3))."""
    table = models.export
    ready = exists().where(audit.LOG.c.export_id == table.c.id, audit.LOG.c.action == "export.ready")
    asked = (table.c.subject_ref == ref, table.c.feed_id.is_(None))
    recent = (*asked, table.c.created_at > now(-MONTH_DAYS * 86_400), ready)
    return connection.execute(select(func.count()).select_from(table).where(*recent)).scalar_one()


def _profile(name: str) -> Profile:
    try:
        return Profile(name)
    except ValueError:
        raise UnknownProfile(f"unknown profile {name!r}") from None


def _include(names: Sequence[str] | None, exporters: Collection[str] | None) -> tuple[str, ...] | None:
    if names is not None and not names:
        raise BadInput("the list of exporters is empty", hint="remove --include to export all")
    return None if names is None else tuple(check_exporter_names(names, exporters))


def _residence(code: str | None) -> str | None:
    if code is None:
        return None
    if code.upper() not in COUNTRIES:
        raise BadInput("the residence is not a country code of ISO 3166-1", hint="use a code such as ID or DE")
    return code.upper()


def _check_kind(profile: Profile, kind: SubjectKind) -> None:
    """Check that a profile applies to a kind of subject. Raises BadSubject."""
    if (profile is Profile.SWITCH) is not (kind is SubjectKind.TENANT):
        raise BadSubject(
            f"profile {profile} does not apply to a {kind}",
            hint="switch is for a tenant; access and portability are for a person",
        )


def _channel(name: str) -> str:
    if not CHANNEL.fullmatch(name):
        raise BadInput(
            "invalid channel: use 1 to 32 of the characters a-z 0-9 _ -", hint="for example cli, email, letter, phone"
        )
    return name


def _period(since: str | None, until: str | None, place: BusinessCalendar) -> tuple[datetime | None, datetime | None]:
    begin, end = start_of_day(since, "since", place), start_of_day(until, "until", place)
    if begin is not None and end is not None and begin >= end:
        raise BadDate("since must be before until")
    return begin, end


def _received(text: str | None, place: BusinessCalendar, present: datetime) -> datetime:
    received = start_of_day(text, "received-at", place) or present
    if received > present:
        raise BadDate("received-at is in the future")
    if received < present - RECEIVED_MAX:
        raise BadDate("received-at is more than ten years ago", hint="check the year")
    return received


def _notice(text: str | None, laws: Sequence[Regime], received: datetime, place: BusinessCalendar) -> datetime | None:
    end = start_of_day(text, "notice-ends-at", place)
    if end is not None:
        check_notice(laws, received, end, place)
    return end
