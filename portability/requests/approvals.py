"""Approvals by a second person before a worker begins, and refusals, which only a human can make (R18, R20)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, literal, select, update

from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now, read_once
from portability.errors import NotAllowed, ReasonRequired, WrongState
from portability.law.profiles import Profile
from portability.messages.outbox import MessageKind
from portability.plugins import check_exporter_names
from portability.requests import exports, open_questions
from portability.requests.acceptance import Request
from portability.requests.policy import Actor, ActorRole
from portability.requests.states import UNBEGUN, ExportState, TransferState
from portability.requests.transition import transition, transition_transfer
from portability.settings import Settings
from portability.sources import exporter_names
from portability.trust import audit

TABLE, TRANSFER = models.approval, models.transfer
REMEDIES = ("complaint", "court")
"""The remedies that every denial names: the supervisory authority and the courts (GDPR Art. 12(4))."""
REFUSAL = "refusal"
"""Cause of a row that exists only to record a denial."""
DENIED = {
    "error_code": "denied",
    "error_message": "a privacy officer has denied this request; the reasons are kept with it",
}
BREAK_GLASS = "break_glass"
"""Basis of an approval by one person alone."""
BREAK_GLASS_SECONDS = 7 * 86_400
"""How long such an approval is reported."""
FETCH_SECONDS = 86_400
"""How long an approval to fetch a copy is valid."""
APPROVABLE = frozenset({ExportState.REVIEW, ExportState.READY})
"""States in which a question may be open: to start, or to fetch or send a copy. Any other state closes it."""
DECIDERS = frozenset({ActorRole.OFFICER, ActorRole.OPERATOR, ActorRole.TENANT_ADMIN})


class Cause(StrEnum):
    """Why a second person must approve."""

    SWITCH = "switch"
    """All data of a company is exported."""
    CONTACT_CHANGED = "contact_changed"
    """Staff request an export soon after the delivery address changed, as happens when accounts are taken over."""
    ABROAD = open_questions.ABROAD
    """The archive goes to a recipient in another country."""
    OTHER_PEOPLE = "other_people"
    """The deployment's policy demands a check, because much of the data is about other people (GDPR Art. 15(4))."""
    NOTES = "notes"
    """The copy will have notes of staff, which may be about other people (portability/requests/note_approvals.py)."""
    NOT_FOUND = "not_found"
    """No source knows the subject: a mistyped id, or a person whose account is gone."""
    FETCH = "fetch"
    """An operator wants to fetch a copy."""


class DenialBasis(StrEnum):
    """The rule on which a denial is based; it stays in the request log without the person (R50)."""

    IDENTITY = "identity"
    """The identity of the requester could not be verified (GDPR Art. 12(6), CCPA 7024)."""
    AUTHORITY = "authority"
    """The requester acts for another person and has no mandate."""
    UNFOUNDED = "unfounded"
    """Manifestly unfounded (GDPR Art. 12(5))."""
    EXCESSIVE = "excessive"
    """Proven abusive intent (CJEU C-526/24)."""
    OTHERS = "others"
    """It would harm the rights of other people (GDPR Art. 15(4), 20(4))."""
    LAW = "law"
    """A law forbids the disclosure."""
    NOT_OURS = "not_ours"
    """Another party has to answer: the tenant, the covered entity."""
    NOT_FOUND = "not_found"
    """No source knows the subject, and a person has checked the request."""
    OTHER = "other"
    """See the text of the reason."""


def needed(
    settings: Settings, actor: Actor, request: Request, *, is_new_contact: bool = False, abroad: bool = False
) -> tuple[Cause, ...]:
    """Return the causes for which a request needs a second person. Without approvals, only what the settings name.

    Raises: UnknownExporter if the settings name one that does not exist, so that a typing error disables nothing.
    """
    looked_at = (Cause.OTHER_PEOPLE,) if _contains_other_people(settings, request) else ()
    if not settings.needs_approvals:
        return looked_at
    causes = {
        Cause.SWITCH: request.profile is Profile.SWITCH,
        Cause.CONTACT_CHANGED: is_new_contact and actor.role not in {ActorRole.SUBJECT, ActorRole.TENANT_ADMIN},
        Cause.ABROAD: abroad,
    }
    return (*(cause for cause, holds in causes.items() if holds), *looked_at)


def is_recent(settings: Settings, changed_at: datetime | None, at: datetime) -> bool:
    """Return whether contact data changed so recently, before `at`, that another person may have changed it."""
    since = at - timedelta(seconds=settings.contact_change_seconds)
    return changed_at is not None and changed_at > since


def _contains_other_people(settings: Settings, request: Request) -> bool:
    """Return whether a person's copy includes an exporter that must be reviewed; `switch` is not about strangers."""
    reviewed = frozenset(check_exporter_names(settings.reviewed, exporter_names(settings)))
    if request.profile is Profile.SWITCH or not reviewed:
        return False
    return request.include is None or not reviewed.isdisjoint(request.include)


def ask(connection: Connection, export_id: str, causes: Iterable[Cause], *, actor: Actor, noted_by: str = "") -> None:
    """Hold an accepted request until another person has approved it. Without causes nothing changes.

    `noted_by` wrote the notes that it waits for, as in the audit log; empty: the actor.

    Raises: UnknownExport; WrongState if a worker has begun.
    """
    wanted = list(causes)
    if not wanted:
        return
    row = exports.lock(connection, export_id)
    if row["state"] == ExportState.REVIEW:
        return
    if row["state"] != ExportState.QUEUED:
        raise WrongState(f"export {export_id} is {row['state']}; it must be queued")
    for cause in wanted:
        asked_by, identity = (noted_by, None) if noted_by and cause is Cause.NOTES else (str(actor), actor.identity)
        _insert(connection, export_id, cause, asked_by=asked_by, identity=identity)
    transition(connection, row, ExportState.REVIEW, actor=str(actor), detail={"causes": ",".join(wanted)})


def ask_about_unknown(connection: Connection, export: RowMapping, *, actor: str) -> None:
    """Stop a locked export whose subject no source knows, until a person decides; nothing of it is read yet."""
    _insert(connection, export["id"], Cause.NOT_FOUND, asked_by=actor)
    transition(connection, export, ExportState.REVIEW, actor=actor, detail={"causes": Cause.NOT_FOUND})


def is_unknown_approved(connection: Connection, export_id: str) -> bool:
    """Return whether a person decided that an export of a subject that no source knows is answered by an archive."""
    same = (TABLE.c.export_id == export_id, TABLE.c.cause == Cause.NOT_FOUND, TABLE.c.state == "approved")
    return connection.execute(select(TABLE.c.id).where(*same)).first() is not None


def approve(connection: Connection, export_id: str, *, actor: Actor) -> None:
    """Approve a waiting export, its transfer, or an operator's copy. The person who asked cannot approve.

    Raises: UnknownExport; WrongState if there is nothing to approve; NotAllowed.
    """
    row, questions = _asked(connection, export_id)
    _check_decider(actor, row, questions)
    _approve(connection, row, actor)


def approve_alone(connection: Connection, export_id: str, *, reason: str, actor: Actor) -> None:
    """Approve as an operator although no second person is there; doctor, a metric and the audit log report it.

    Raises: UnknownExport; WrongState if there is nothing to approve; NotAllowed for another role; ReasonRequired.
    """
    if actor.role != ActorRole.OPERATOR:
        raise NotAllowed("only an operator can approve without a second person")
    if not reason.strip():
        raise ReasonRequired("an approval without a second person needs a reason")
    row, _questions = _asked(connection, export_id)
    _approve(connection, row, actor, reason=reason.strip(), basis=BREAK_GLASS)


def _asked(connection: Connection, export_id: str) -> tuple[RowMapping, Sequence[RowMapping]]:
    """Return an export, locked, and its open questions. Raises UnknownExport; WrongState without a question."""
    row = exports.lock(connection, export_id)
    questions = waiting(connection, export_id) if row["state"] in APPROVABLE else ()
    if not questions:
        raise WrongState(f"export {export_id} is {row['state']}: there is nothing to approve")
    return row, questions


def _approve(
    connection: Connection, row: RowMapping, actor: Actor, *, reason: str | None = None, basis: str | None = None
) -> None:
    export_id = row["id"]
    _decide(connection, export_id, "approved", actor, reason, basis)
    # Locked before the log.
    transfers = _waiting_transfers(connection, export_id)
    if basis == BREAK_GLASS:
        audit.record(connection, "approval.break_glass", actor=str(actor), export_id=export_id)
    if row["state"] == ExportState.REVIEW:
        transition(connection, row, ExportState.QUEUED, actor=str(actor))
    else:
        audit.record(connection, "export.approved", actor=str(actor), export_id=export_id)
    for transfer in transfers:
        transition_transfer(connection, transfer, TransferState.QUEUED, actor=str(actor))


def deny(connection: Connection, export_id: str, *, reason: str, actor: Actor, basis: str = DenialBasis.OTHER) -> None:
    """Refuse a request that no worker has begun; the person is informed of the reason and their remedies.

    For a ready export it refuses only the copy that an operator asked for, or its transfer.

    This is the only way to `denied`: no code refuses automatically (GDPR Art. 12(4), 12(5)).

    Raises: UnknownExport; WrongState; ReasonRequired; NotAllowed; BadInput for an unknown basis.
    """
    if not reason.strip():
        raise ReasonRequired("a denial needs a reason, written for the person")
    if basis not in set(DenialBasis):
        raise BadInput("unknown basis of a denial", hint=f"known bases: {', '.join(DenialBasis)}")
    row = exports.lock(connection, export_id)
    questions = waiting(connection, export_id)
    begun = row["state"] not in UNBEGUN
    if begun and not questions:
        raise WrongState(f"export {export_id} is {row['state']}: it cannot be denied", hint="cancel it instead")
    # Who wrote a note may refuse: it is delivered to no one.
    _check_decider(actor, row, [question for question in questions if question["cause"] != Cause.NOTES])
    if not questions:
        _insert(connection, export_id, REFUSAL, asked_by=row["requested_by"], identity=row["requested_identity"])
    _decide(connection, export_id, "denied", actor, reason.strip(), basis)
    if not begun:
        message = MessageKind.NOT_FOUND if basis == DenialBasis.NOT_FOUND else None
        transition(connection, row, ExportState.DENIED, actor=str(actor), columns=DENIED, message=message)
        return
    transfers = _waiting_transfers(connection, export_id)
    for transfer in transfers:
        transition_transfer(connection, transfer, TransferState.DENIED, actor=str(actor), columns={"ended_at": now()})
    if not transfers:
        audit.record(connection, "fetch.denied", actor=str(actor), export_id=export_id)


def may_fetch(connection: Connection, export_id: str, *, actor: Actor) -> bool:
    """Return whether another person approved a copy by this operator within a day; if not, ask for it. Then commit."""
    exports.lock(connection, export_id)
    own = (TABLE.c.export_id == export_id, TABLE.c.cause == Cause.FETCH, TABLE.c.asked_by == str(actor))
    valid = (TABLE.c.state == "approved", TABLE.c.decided_at > now(-FETCH_SECONDS))
    if connection.scalar(select(TABLE.c.id).where(*own, *valid).limit(1)):
        return True
    if connection.execute(select(TABLE.c.id).where(*own, TABLE.c.state == "open")).first() is None:
        ask_also(connection, export_id, Cause.FETCH, actor)
    return False


def hold_transfer(connection: Connection, export_id: str, *, actor: Actor) -> None:
    """Ask another person whether a ready export may go to a recipient abroad; the export is locked.

    Each person who asks has a question: none can approve their own transfer by the question of another.
    """
    own = (row["asked_by"] == str(actor) for row in waiting(connection, export_id) if row["cause"] == Cause.ABROAD)
    if not any(own):
        ask_also(connection, export_id, Cause.ABROAD, actor)


def ask_also(connection: Connection, export_id: str, cause: Cause, actor: Actor) -> None:
    """Ask one more question about a locked export, whose state stays as it is."""
    _insert(connection, export_id, cause, asked_by=str(actor), identity=actor.identity)
    audit.record(connection, "approval.asked", actor=str(actor), export_id=export_id, detail={"causes": cause})


def waiting(connection: Connection, export_id: str | None = None) -> Sequence[RowMapping]:
    """Return the open questions, oldest first."""
    query = select(TABLE).where(open_questions.is_open()).order_by(TABLE.c.asked_at, TABLE.c.id)
    chosen = query.where(TABLE.c.export_id == export_id) if export_id else query
    return connection.execute(chosen).mappings().all()


def denial(connection: Connection, export_id: str) -> dict[str, Any] | None:
    """Return reason, time and remedies of the newest denial, for the person; None if nothing was denied."""
    query = select(TABLE).where(TABLE.c.export_id == export_id, TABLE.c.state == "denied", TABLE.c.cause != Cause.FETCH)
    row = connection.execute(query.order_by(TABLE.c.decided_at.desc()).limit(1)).mappings().one_or_none()
    if not row:
        return None
    content = {"reason": row["reason"], "basis": row["basis"], "remedies": list(REMEDIES)}
    return {**content, "decided_at": rfc3339(row["decided_at"])}


def _check_decider(actor: Actor, export: Mapping[Any, Any], rows: Sequence[RowMapping]) -> None:
    if actor.role not in DECIDERS:
        raise NotAllowed("only a person can decide on a request", hint="log in as a privacy officer")
    requested = (export["requested_by"], export["requested_identity"])
    if any(actor.did(*asked) for asked in (requested, *((row["asked_by"], row["asked_identity"]) for row in rows))):
        raise NotAllowed("you cannot approve or deny your own request", hint="ask a colleague")


def break_glass_count(connection: Connection) -> int:
    """Return how many approvals of the last week had no second person."""
    # As a literal: a parameter would hide the partial index from the planner.
    is_alone = TABLE.c.basis == literal(BREAK_GLASS, literal_execute=True)
    recent = (is_alone, TABLE.c.decided_at > read_once(-BREAK_GLASS_SECONDS))
    return connection.execute(select(func.count(func.distinct(TABLE.c.export_id))).where(*recent)).scalar_one()


def alone(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """Return who approved an export without a second person, when, and why, for the second reader."""
    said = select(TABLE.c.decided_by, TABLE.c.decided_at, TABLE.c.reason).distinct()
    query = said.where(TABLE.c.export_id == export_id, TABLE.c.basis == BREAK_GLASS).order_by(TABLE.c.decided_at)
    return connection.execute(query).mappings().all()


def _decide(
    connection: Connection,
    export_id: str,
    state: str,
    actor: Actor,
    reason: str | None = None,
    basis: str | None = None,
) -> None:
    open_ones = update(TABLE).where(TABLE.c.export_id == export_id, open_questions.is_open())
    who = {"decided_by": str(actor), "decided_identity": actor.identity}
    connection.execute(open_ones.values(**who, state=state, reason=reason, basis=basis, decided_at=now()))


def _waiting_transfers(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """Return the transfers of an export that wait for this decision, locked."""
    matching = (TRANSFER.c.export_id == export_id, TRANSFER.c.state == TransferState.HELD)
    query = select(TRANSFER).where(*matching).order_by(TRANSFER.c.id).with_for_update()
    return connection.execute(query).mappings().all()


def _insert(connection: Connection, export_id: str, cause: str, *, asked_by: str, identity: str | None = None) -> None:
    values = {"id": f"apr_{secrets.token_hex(10)}", "export_id": export_id, "cause": cause, "state": "open"}
    connection.execute(insert(TABLE).values(**values, asked_by=asked_by, asked_identity=identity, asked_at=now()))
