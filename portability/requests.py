"""Requests: what is asked for, checked whole before anything is written, becomes one export row."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum

from sqlalchemy import Connection, exists, func, insert, select

from portability import audit, exclusion, models, notify, slices, subjects
from portability.api import SubjectKind
from portability.db import now
from portability.deadlines import DEFAULT_REGIMES, UTC_PLACE, Clock, Place, Regime, applying, check_notice, earliest
from portability.errors import BadDate, BadInput, BadSubject, UnknownProfile
from portability.plugins import check_exporter_names, check_format_names
from portability.refusals import TooManyExports
from portability.states import UNDECIDED, ExportState

DEFAULT_FORMATS = ("jsonl", "csv", "vcon")
MONTH_DAYS = 30
CHANNEL = re.compile(r"[a-z0-9_-]{1,32}")


class Profile(StrEnum):
    """For which right an export is made; tags on datasets and fields decide what it takes."""

    ACCESS = "access"
    """GDPR Art. 15: all that is held on the subject."""
    PORTABILITY = "portability"
    """GDPR Art. 20: what was provided and observed; nothing derived."""
    SWITCH = "switch"
    """EU Data Act: all that the platform processes for a tenant, and its configuration."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, checked."""

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
    due_at: datetime
    notice_ends_at: datetime | None = None


def check(
    *,
    profile: str,
    subject: str,
    tenant: str | None = None,
    include: Sequence[str] | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    since: str | None = None,
    until: str | None = None,
    require_complete: bool = False,
    reason: str | None = None,
    channel: str = "cli",
    received_at: str | None = None,
    notice_ends_at: str | None = None,
    regimes: Sequence[str] = DEFAULT_REGIMES,
    place: Place = UTC_PLACE,
) -> Request:
    """A request from a caller's words, due when the strictest of the deployment's regimes says.

    Raises: UnknownProfile, BadSubject, UnknownExporter, UnknownFormat, UnknownRegime, BadDate, BadInput.
    """
    chosen = _profile(profile)
    kind, identifier, wall = subjects.parse(subject, tenant)
    if (chosen is Profile.SWITCH) is not (kind is SubjectKind.TENANT):
        raise BadSubject(
            f"profile {chosen} is not for a {kind}",
            hint="switch takes a tenant; access and portability take a user or a contact",
        )
    if include is not None and not include:
        raise BadInput("no exporter was named", hint="leave --include out for all")
    begin, end = _period(since, until)
    received, laws = _received(received_at), applying(regimes, chosen)
    notice = _notice(notice_ends_at, laws, received, place)
    return Request(
        profile=chosen,
        subject_kind=kind,
        subject_id=identifier,
        tenant=wall,
        include=tuple(check_exporter_names(include)) if include else None,
        formats=_formats(formats),
        since=begin,
        until=end,
        require_complete=require_complete,
        reason=reason,
        channel=_channel(channel),
        received_at=received,
        due_at=earliest(laws, Clock(received, notice_ends_at=notice), place),
        notice_ends_at=notice,
    )


def accept(
    connection: Connection,
    request: Request,
    *,
    actor: str,
    per_month: int | None = None,
    mandate_id: str | None = None,
) -> tuple[str, bool]:
    """Store the request as an export and return (its id, whether it is new).

    An open export of the very same request is returned instead of a second one: asking twice gives one archive.
    `per_month` bounds what the subject may have in 30 days; `mandate_id` is on whose authority, checked before.

    Raises: ErasureRunning, TooManyExports.
    """
    # One at a time: of two that ask at the same moment, the second sees the first one's row.
    exclusion.lock(connection)
    exclusion.check_not_erasing(connection, request.subject_kind, request.subject_id, request.tenant)
    ref = subjects.pairwise_ref(connection, request.subject_kind, request.subject_id, request.tenant)
    if (same := _open_twin(connection, request, ref)) is not None:
        audit.record(connection, "request.repeated", actor=actor, export_id=same)
        return same, False
    if per_month is not None and _ready_in_a_month(connection, ref) >= per_month:
        raise TooManyExports(f"{per_month} exports of this subject became ready in {MONTH_DAYS} days")
    identifier = base64.b32encode(secrets.token_bytes(15)).decode().lower()
    store(connection, request, identifier, ref, actor=actor, mandate_id=mandate_id)
    detail = {"profile": request.profile, "subject": ref, "kind": request.subject_kind, "channel": request.channel}
    audit.record(connection, "request.accepted", actor=actor, export_id=identifier, detail=detail)
    notify.queue(connection, notify.Kind.ACKNOWLEDGED, identifier)
    return identifier, True


def store(
    connection: Connection, request: Request, identifier: str, ref: str, *, actor: str, mandate_id: str | None = None
) -> None:
    """The request's row and its first slice; `accept` looks before whether there may be one."""
    connection.execute(insert(models.export).values(_row(request, identifier, ref, actor) | {"mandate_id": mandate_id}))
    slices.open_first(connection, identifier, request.tenant)


def _row(request: Request, identifier: str, ref: str, actor: str) -> dict[str, object]:
    return {
        **_asked(request),
        "id": identifier,
        "subject_id": request.subject_id,
        "subject_ref": ref,
        "reason": request.reason,
        "channel": request.channel,
        "requested_by": actor,
        "received_at": request.received_at,
        "due_at": request.due_at,
        "created_at": datetime.now(UTC),
        "state": ExportState.QUEUED,
        "volume_counter": 0,
        "revision": 1,
    }


def _asked(request: Request) -> dict[str, object]:
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
    }


def _open_twin(connection: Connection, request: Request, ref: str) -> str | None:
    table = models.export
    query = select(table).where(
        table.c.subject_ref == ref, table.c.state.in_(UNDECIDED), table.c.cancel_requested_at.is_(None)
    )
    asked = _asked(request)
    for row in connection.execute(query).mappings():
        if all(row[name] == value for name, value in asked.items()):
            return str(row["id"])
    return None


def _ready_in_a_month(connection: Connection, ref: str) -> int:
    """Successes alone: what failed, was cancelled or denied was no copy (GDPR Art. 12(5), 15(3))."""
    table = models.export
    ready = exists().where(models.audit_event.c.export_id == table.c.id, models.audit_event.c.action == "export.ready")
    recent = (table.c.subject_ref == ref, table.c.created_at > now(-MONTH_DAYS * 86_400), ready)
    return connection.execute(select(func.count()).select_from(table).where(*recent)).scalar_one()


def _profile(name: str) -> Profile:
    try:
        return Profile(name)
    except ValueError:
        raise UnknownProfile(f"no profile is named {name!r}") from None


def _channel(name: str) -> str:
    if not CHANNEL.fullmatch(name):
        raise BadInput("a channel is 1 to 32 of the characters a-z 0-9 _ -", hint="cli, email, letter, phone ...")
    return name


def _formats(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        raise BadInput("no format was named", hint=f"leave --format out for {', '.join(DEFAULT_FORMATS)}")
    return tuple(check_format_names(names))


def _period(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    begin, end = moment(since, "since"), moment(until, "until")
    if begin is not None and end is not None and begin >= end:
        raise BadDate("since is not before until: nothing can lie between")
    return begin, end


def _received(text: str | None) -> datetime:
    present = datetime.now(UTC)
    received = moment(text, "received-at") or present
    if received > present:
        raise BadDate("received-at lies in the future")
    return received


def _notice(text: str | None, laws: Sequence[Regime], received: datetime, place: Place) -> datetime | None:
    end = moment(text, "notice-ends-at")
    if text is None or end is None:
        return None
    if len(text) == len("2026-11-24"):
        # A day is one of the place whose days the deadline counts.
        end = end.replace(tzinfo=place.zone).astimezone(UTC)
    check_notice(laws, received, end, place)
    return end


def moment(text: str | None, what: str) -> datetime | None:
    """A date or time in a caller's words, aware UTC; None stays None. Raises BadDate."""
    if text is None:
        return None
    try:
        if len(text) == len("2026-11-24"):
            return datetime.combine(date.fromisoformat(text), time(), UTC)
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadDate(f"{what} is not a date or time") from None
    raise BadDate(f"{what} has a time without its zone")
