"""Approvals: what a second person looks at before a worker begins; refusals, which only a human makes (R18, R20)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability import audit, exports, models, notify, slices
from portability.db import now
from portability.errors import BadInput, NotAllowed, WrongState
from portability.plugins import check_exporter_names
from portability.policy import Actor, Role
from portability.refusals import ReasonRequired
from portability.requests import Profile, Request
from portability.settings import Settings
from portability.states import ExportState, TransferState

TABLE, EXPORT, TRANSFER = models.approval, models.export, models.transfer
REMEDIES = ("complaint", "court")
"""What a denial always tells of: the supervisory authority and the courts (GDPR Art. 12(4))."""
REFUSAL = "refusal"
"""Cause of a row that was made to hold a denial alone."""
FETCH_SECONDS = 86_400
"""How long the consent to fetch a copy holds."""
APPROVABLE = frozenset({ExportState.REVIEW, ExportState.READY})
"""States in which a question may be open: to make it, or to fetch or send a copy. With any other it has ended."""
DECIDERS = frozenset({Role.OFFICER, Role.OPERATOR, Role.TENANT_ADMIN})


class Cause(StrEnum):
    """Why a second person must look."""

    SWITCH = "switch"
    """A whole company's data leaves."""
    CONTACT_CHANGED = "contact_changed"
    """Staff ask soon after the address changed to which the archive will go: so are accounts taken over."""
    ABROAD = "abroad"
    """It goes to a recipient in another country."""
    OTHER_PEOPLE = "other_people"
    """What a deployment's policy wants human eyes for, because much of it is about others (GDPR Art. 15(4))."""
    FETCH = "fetch"
    """An operator wants a copy."""


class Basis(StrEnum):
    """The rule that a denial rests on; it stays in the request log without the person (R50)."""

    IDENTITY = "identity"
    """Who asks could not be verified (GDPR Art. 12(6), CCPA 7024)."""
    AUTHORITY = "authority"
    """Whoever asks for another has no mandate."""
    UNFOUNDED = "unfounded"
    """Manifestly unfounded (GDPR Art. 12(5))."""
    EXCESSIVE = "excessive"
    """Of a proven abusive intent (CJEU C-526/24)."""
    OTHERS = "others"
    """It would harm the rights of other people (GDPR Art. 15(4), 20(4))."""
    LAW = "law"
    """A law forbids it."""
    NOT_OURS = "not_ours"
    """Another one is to answer: the tenant, the covered entity."""
    OTHER = "other"
    """The reason says it."""


def needed(
    settings: Settings,
    actor: Actor,
    request: Request,
    *,
    contact_changed_at: datetime | None = None,
    abroad: bool = False,
) -> tuple[Cause, ...]:
    """What about a request needs a second person. Where approvals are off, what the settings name still does.

    Raises: UnknownExporter where the settings name one that is not there: nothing may slip through by a slip.
    """
    looked_at = (Cause.OTHER_PEOPLE,) if _tells_of_others(settings, request) else ()
    if not settings.needs_approvals:
        return looked_at
    recent = timedelta(seconds=settings.contact_change_seconds)
    changed = contact_changed_at is not None and contact_changed_at > datetime.now(UTC) - recent
    causes = {
        Cause.SWITCH: request.profile is Profile.SWITCH,
        Cause.CONTACT_CHANGED: changed and actor.role not in {Role.SUBJECT, Role.TENANT_ADMIN},
        Cause.ABROAD: abroad,
    }
    return (*(cause for cause, holds in causes.items() if holds), *looked_at)


def _tells_of_others(settings: Settings, request: Request) -> bool:
    """Whether a person's copy takes an exporter that is to be looked at; in `switch` nothing is about strangers."""
    reviewed = frozenset(check_exporter_names(settings.reviewed))
    if request.profile is Profile.SWITCH or not reviewed:
        return False
    return request.include is None or not reviewed.isdisjoint(request.include)


def ask(connection: Connection, export_id: str, causes: Iterable[Cause], *, actor: str) -> None:
    """Hold a request that was just accepted until somebody else has looked at it. Without causes it is left alone.

    Raises: UnknownExport; WrongState where a worker has begun.
    """
    wanted = list(causes)
    if not wanted:
        return
    row = exports.lock(connection, export_id)
    if row["state"] == ExportState.REVIEW:
        return
    if row["state"] != ExportState.QUEUED:
        raise WrongState(f"export {export_id} is {row['state']}, not queued")
    connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(state=ExportState.REVIEW))
    slices.hold(connection, export_id)
    for cause in wanted:
        _insert(connection, export_id, cause, actor)
    detail = {"causes": ",".join(wanted)}
    audit.record(connection, "approval.asked", actor=actor, export_id=export_id, detail=detail)


def approve(connection: Connection, export_id: str, *, actor: Actor) -> None:
    """Let a held export or its transfer go on, or an operator fetch a copy. Whoever asked cannot.

    Raises: UnknownExport; WrongState where nothing is to be approved; NotAllowed.
    """
    row = exports.lock(connection, export_id)
    asked = waiting(connection, export_id) if row["state"] in APPROVABLE else ()
    if not asked:
        raise WrongState(f"export {export_id} is {row['state']}: there is nothing to approve")
    _check_decider(actor, row, asked)
    _decide(connection, export_id, "approved", actor)
    if row["state"] == ExportState.REVIEW:
        connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(state=ExportState.QUEUED))
        slices.let_go(connection, export_id)
    _held(connection, export_id, state=TransferState.QUEUED)
    audit.record(connection, "export.approved", actor=str(actor), export_id=export_id)


def deny(connection: Connection, export_id: str, *, reason: str, actor: Actor, basis: str = Basis.OTHER) -> None:
    """Refuse a request that no worker has begun, for a reason that the person is told with their remedies.

    Of an export that is ready it refuses the copy that an operator asked for, or its transfer, and nothing else.

    There is no other way to `denied`: no code refuses by itself (GDPR Art. 12(4), 12(5)).

    Raises: UnknownExport; WrongState; ReasonRequired; NotAllowed; BadInput for a basis that is none.
    """
    if not reason.strip():
        raise ReasonRequired("a denial says why, in words for the person")
    if basis not in set(Basis):
        raise BadInput("no such basis of a denial", hint=f"bases are {', '.join(Basis)}")
    row = exports.lock(connection, export_id)
    asked = waiting(connection, export_id)
    begun = row["state"] not in {ExportState.REVIEW, ExportState.QUEUED}
    if begun and not asked:
        raise WrongState(f"export {export_id} is {row['state']}", hint="what has begun can be cancelled")
    _check_decider(actor, row, asked)
    if not asked:
        _insert(connection, export_id, REFUSAL, row["requested_by"])
    _decide(connection, export_id, "denied", actor, reason.strip(), basis)
    if begun:
        stopped = _held(connection, export_id, state=TransferState.DENIED, ended_at=now())
        action = "transfer.denied" if stopped else "fetch.denied"
        audit.record(connection, action, actor=str(actor), export_id=export_id)
        return
    ended = {"state": ExportState.DENIED, "ended_at": now(), "error_code": "denied"}
    told = "a privacy officer has denied this request; the reasons are kept with it"
    connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(**ended, error_message=told))
    slices.end_all(connection, export_id)
    audit.record(connection, "export.denied", actor=str(actor), export_id=export_id)
    notify.queue(connection, notify.Kind.DENIED, export_id)


def may_fetch(connection: Connection, export_id: str, *, actor: str) -> bool:
    """Whether somebody else has let this operator fetch a copy within a day; if not, they are asked to. Commit it."""
    exports.lock(connection, export_id)
    mine = (TABLE.c.export_id == export_id, TABLE.c.cause == Cause.FETCH, TABLE.c.asked_by == actor)
    good = (TABLE.c.state == "approved", TABLE.c.decided_at > now(-FETCH_SECONDS))
    if connection.execute(select(TABLE.c.id).where(*mine, *good)).first() is not None:
        return True
    if connection.execute(select(TABLE.c.id).where(*mine, TABLE.c.state == "open")).first() is None:
        _insert(connection, export_id, Cause.FETCH, actor)
        audit.record(connection, "approval.asked", actor=actor, export_id=export_id, detail={"causes": Cause.FETCH})
    return False


def hold_transfer(connection: Connection, export_id: str, *, actor: str) -> None:
    """Ask somebody else whether a ready export may go to a recipient abroad; the export is locked."""
    asked = waiting(connection, export_id)
    if not any(row["cause"] == Cause.ABROAD for row in asked):
        _insert(connection, export_id, Cause.ABROAD, actor)
        audit.record(connection, "approval.asked", actor=actor, export_id=export_id, detail={"causes": Cause.ABROAD})


def waiting(connection: Connection, export_id: str | None = None) -> Sequence[RowMapping]:
    """What is still to be decided, oldest first."""
    query = select(TABLE).where(TABLE.c.state == "open").order_by(TABLE.c.asked_at, TABLE.c.id)
    return (
        connection.execute(query if export_id is None else query.where(TABLE.c.export_id == export_id)).mappings().all()
    )


def denial(connection: Connection, export_id: str) -> dict[str, Any] | None:
    """Reason, time and remedies of a denial, for the person; None where there is none."""
    query = select(TABLE).where(TABLE.c.export_id == export_id, TABLE.c.state == "denied", TABLE.c.cause != Cause.FETCH)
    row = connection.execute(query.order_by(TABLE.c.decided_at).limit(1)).mappings().one_or_none()
    if row is None:
        return None
    told = {"reason": row["reason"], "basis": row["basis"], "remedies": list(REMEDIES)}
    return {**told, "decided_at": exports.rfc3339(row["decided_at"])}


def _check_decider(actor: Actor, export: Mapping[Any, Any], rows: Sequence[RowMapping]) -> None:
    if actor.role not in DECIDERS:
        raise NotAllowed("only a person who may decide decides", hint="a privacy officer does")
    if str(actor) in {export["requested_by"], *(row["asked_by"] for row in rows)}:
        raise NotAllowed("nobody decides on a request of their own", hint="ask a colleague")


def _decide(
    connection: Connection,
    export_id: str,
    state: str,
    actor: Actor,
    reason: str | None = None,
    basis: str | None = None,
) -> None:
    open_ones = update(TABLE).where(TABLE.c.export_id == export_id, TABLE.c.state == "open")
    values = {"state": state, "decided_by": str(actor), "reason": reason, "basis": basis}
    connection.execute(open_ones.values(**values, decided_at=now()))


def _held(connection: Connection, export_id: str, **values: object) -> int:
    """Let the transfers of an export go that waited for this decision, or end them."""
    mine = (TRANSFER.c.export_id == export_id, TRANSFER.c.state == TransferState.HELD)
    return connection.execute(update(TRANSFER).where(*mine).values(**values)).rowcount


def _insert(connection: Connection, export_id: str, cause: str, actor: str) -> None:
    values = {"id": f"apr_{secrets.token_hex(10)}", "export_id": export_id, "cause": cause, "state": "open"}
    connection.execute(insert(TABLE).values(**values, asked_by=actor, asked_at=now()))
