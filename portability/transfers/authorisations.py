"""Authorisations: what a subject allows to be sent to which recipient, once or until a date; revocable (R46).

Nothing is sent without one. The subject gives it on their page, for a company its administrator. A person who records
it for another person must say where the consent is stored. Then nothing is sent until the subject has confirmed it; or
a second person has seen the signed document, and a day has passed since the subject's mail server took the notice.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, insert, or_, select, update

from portability.api import JSON
from portability.api.errors import BadInput
from portability.api.times import rfc3339
from portability.database import deployment, models
from portability.database.engine import now
from portability.errors import BadDate, NotAllowed, ReasonRequired, WrongState
from portability.feeds import feeds
from portability.law.profiles import SENDABLE
from portability.messages import outbox, recipient_notices
from portability.messages.outbox import MessageKind, MessageState
from portability.messages.recipient_notices import NoticeKind
from portability.people import subject_locks, subjects
from portability.requests.acceptance import Request
from portability.requests.policy import Actor, ActorRole
from portability.requests.states import TransferState
from portability.requests.transition import end_transfers
from portability.transfers import pull_access, recipients
from portability.trust import audit

TABLE, USES = models.authorisation, (models.transfer, models.feed)
UNTIL_MAX = timedelta(days=366)
EVIDENCE_MAX = 200
NOTICE_SECONDS = 86_400
"""How long a subject has to object, from the delivery of the notice, if they have not confirmed it themselves."""
ADDRESS_CHANGED = "address_changed"
"""Reason of a notice that was sent to an address that had recently changed: it proves nothing."""
THEMSELVES = frozenset({ActorRole.SUBJECT, ActorRole.TENANT_ADMIN})


class UnknownAuthorisation(BadInput):
    """No active authorisation has this id."""

    code = "unknown_authorisation"
    default_hint = "`portability authorisations list` lists them"


class NotAuthorised(NotAllowed):
    """The subject has not authorised this transfer, or not all data that it would send."""

    code = "not_authorised"
    default_hint = "the person can authorise it on their page, or ask for an export of the authorised parts only"


def give(
    connection: Connection,
    *,
    subject: str,
    tenant: str | None = None,
    recipient: str,
    datasets: Sequence[str],
    until: datetime | None = None,
    evidence: str | None = None,
    dpop_jkt: str | None = None,
    actor: Actor,
    exporters: Collection[str] | None = None,
    needs_confirmation: bool = True,
) -> str:
    """Record an authorisation and return its id; without `until` it is for one transfer.

    Of a request that is sent twice one authorisation is made: the second returns the id of the first, as long as no
    transfer and no feed has begun under it.

    `needs_confirmation`: whether the subject confirms what another person records, as far as the settings require it.
    `dpop_jkt`: the thumbprint of the key that the recipient fetches with (RFC 9449, 6.1); None: it is sent to it.

    Raises: BadSubject, UnknownRecipient, WrongState, BadInput, BadDate, ReasonRequired, ErasureRunning.
    """
    kind, identifier, owner = whom = subjects.parse(subject, tenant)
    _check_end(connection, until)
    subject_locks.exclude_erasure(connection, whom)
    to = recipients.approved(connection, recipient, is_kept=True)
    values: dict[str, Any] = {
        "id": f"aut_{secrets.token_hex(10)}",
        "subject_kind": kind,
        "subject_id": identifier,
        "tenant": owner,
        "recipient_id": to["id"],
        "subject_ref": subjects.pairwise_ref(connection, *whom),
        "datasets": _scope(to, datasets, exporters),
        "once": not until,
        "expires_at": until,
        "evidence": _evidence(actor, evidence),
        "dpop_jkt": dpop_jkt,
        "created_by": str(actor),
        "created_identity": actor.identity,
        "created_at": now(),
    }
    return _twin(connection, values) or _record(connection, values, actor, needs_confirmation=needs_confirmation)


def _record(connection: Connection, values: Mapping[str, Any], actor: Actor, *, needs_confirmation: bool) -> str:
    authorisation_id = str(values["id"])
    is_confirmed = actor.role in THEMSELVES or not needs_confirmation
    confirmation = {"confirmed_by": str(actor), "confirmed_at": now()} if is_confirmed else {}
    connection.execute(insert(TABLE).values(**values, **confirmation))
    message = MessageKind.CONSENT_GIVEN if is_confirmed else MessageKind.CONSENT_ASKED
    outbox.queue_consent(connection, message, authorisation_id, values["subject_kind"])
    answered = {"once": values["once"], "confirmed": is_confirmed}
    detail: audit.Detail = {"authorisation": authorisation_id, "recipient": values["recipient_id"], **answered}
    audit.record(connection, "authorisation.given", actor=str(actor), detail=detail)
    return authorisation_id


def _twin(connection: Connection, values: Mapping[str, Any]) -> str | None:
    """Return the id of an authorisation that differs from a new one in its id alone, and that nothing uses yet."""
    if values["dpop_jkt"]:
        return None  # the recipient gets a code for each consent
    compared = values.keys() - {"id", "created_at"}
    begun = (select(table.c.id).where(table.c.authorisation_id == TABLE.c.id).exists() for table in USES)
    query = select(TABLE).where(TABLE.c.subject_ref == values["subject_ref"], lasting(), *(~use for use in begun))
    rows = connection.execute(query).mappings()
    return next((row["id"] for row in rows if all(row[name] == values[name] for name in compared)), None)


def _scope(to: Mapping[Any, Any], datasets: Sequence[str], exporters: Collection[str] | None) -> list[str]:
    scope = recipients.checked_datasets(datasets, exporters)
    if beyond := [name for name in scope if not recipients.covers(to["datasets"], *_parts(name))]:
        raise BadInput(f"the recipient may not receive {', '.join(beyond)}")
    return scope


def _check_end(connection: Connection, until: datetime | None) -> None:
    if not until:
        return
    present = deployment.clock_of(connection)
    if not present < until <= present + UNTIL_MAX:
        raise BadDate("the end of an authorisation must be in the future and within a year")


def _evidence(actor: Actor, evidence: str | None) -> str | None:
    """Return where a consent is stored; None for a person's own. Raises ReasonRequired, BadInput."""
    kept = (evidence or "").strip()
    if actor.role not in THEMSELVES and not kept:
        raise ReasonRequired("evidence is required: say where the other person's consent is stored")
    _check_length(kept)
    return kept or None


def _check_length(reference: str) -> None:
    if len(reference) > EVIDENCE_MAX:
        raise BadInput("the reference to a document is too long: use at most 200 characters")


def confirm(connection: Connection, authorisation_id: str, *, actor: Actor) -> None:
    """Confirm, as the subject, what another person has recorded. A second call is not an error.

    Raises: UnknownAuthorisation; WrongState if it has ended; NotAllowed for another person.
    """
    row = get(connection, authorisation_id)
    if actor.role not in THEMSELVES:
        raise NotAllowed("only the person, or the company's administrator, can confirm an authorisation")
    same = TABLE.c.id == authorisation_id
    waiting = update(TABLE).where(same, ~confirmed(), lasting())
    if connection.execute(waiting.values(confirmed_by=str(actor), confirmed_at=now())).rowcount:
        outbox.queue_consent(connection, MessageKind.CONSENT_GIVEN, authorisation_id, row["subject_kind"])
        detail: audit.Detail = {"authorisation": authorisation_id}
        audit.record(connection, "authorisation.confirmed", actor=str(actor), detail=detail)
    elif not connection.scalar(select(TABLE.c.id).where(same, confirmed(), TABLE.c.revoked_at.is_(None))):
        raise WrongState(f"authorisation {authorisation_id} has ended: it is revoked, used or expired")


def countersign(connection: Connection, authorisation_id: str, *, document: str, actor: Actor) -> None:
    """Record that a second person has seen the subject's signed consent. A second call is not an error.

    The authorisation is active a day after the notice to the subject was delivered; the subject can object until then.
    `document` says where the signed consent is stored.

    Raises: UnknownAuthorisation; WrongState if it has ended or the subject has confirmed it; ReasonRequired; BadInput;
    NotAllowed for the person who recorded it.
    """
    row = get(connection, authorisation_id)
    if actor.did(row["created_by"], row["created_identity"]):
        raise NotAllowed("a second person must see the signed consent", hint="ask a colleague")
    kept = document.strip()
    if not kept:
        raise ReasonRequired("a document is required: say where the signed consent is stored")
    _check_length(kept)
    same = TABLE.c.id == authorisation_id
    if connection.scalar(select(TABLE.c.id).where(same, or_(confirmed(), ~lasting()))):
        raise WrongState(f"authorisation {authorisation_id} has ended, or the subject has confirmed it")
    values = {"document": kept, "countersigned_by": str(actor), "countersigned_at": now()}
    waiting = update(TABLE).where(same, TABLE.c.countersigned_at.is_(None), ~confirmed(), lasting())
    if connection.execute(waiting.values(**values)).rowcount:
        detail: audit.Detail = {"authorisation": authorisation_id}
        audit.record(connection, "authorisation.countersigned", actor=str(actor), detail=detail)


def revoke(connection: Connection, authorisation_id: str, *, actor: str) -> None:
    """Revoke an authorisation: running transfers stop at once. Raises UnknownAuthorisation."""
    row = get(connection, authorisation_id)
    # First its exports and its transfers: they are locked before the log.
    feeds.cancel_open(connection, models.feed.c.authorisation_id == authorisation_id, actor=actor)
    under = models.transfer.c.authorisation_id == authorisation_id
    ended = end_transfers(connection, under, TransferState.REVOKED, actor=actor, is_told=False)
    gone = update(TABLE).where(TABLE.c.id == row["id"], TABLE.c.revoked_at.is_(None))
    if not connection.execute(gone.values(revoked_at=now(), revoked_by=actor)).rowcount:
        raise UnknownAuthorisation(f"authorisation {authorisation_id} is already revoked")
    forgotten = feeds.end_of_consents(connection, [authorisation_id], actor=actor)
    outbox.queue_consent(connection, MessageKind.CONSENT_REVOKED, authorisation_id, row["subject_kind"])
    # The links have ended: no download begins after this query.
    informed = and_(under, recipient_notices.fetched())
    notices = recipient_notices.queue(connection, NoticeKind.WITHDRAWN, informed)
    ended.record(connection, TransferState.REVOKED, actor=actor)
    recipient_notices.record(connection, notices, actor=actor)
    feeds.record_ended(connection, forgotten, actor=actor)
    audit.record(connection, "authorisation.revoked", actor=actor, detail={"authorisation": authorisation_id})


def check_standing(connection: Connection, authorisation_id: str, request: Request) -> None:
    """Check that a feed may serve an authorisation: of its subject, active, and not for a single transfer.

    Raises: UnknownAuthorisation, NotAuthorised; BadInput if archives of this profile are never sent.
    """
    if request.profile not in SENDABLE:
        raise BadInput(f"only {' and '.join(sorted(SENDABLE))} exports can be sent, not {request.profile}")
    row = get(connection, authorisation_id)
    whom = (request.subject_kind, request.subject_id, request.tenant)
    stands = connection.scalar(select(TABLE.c.id).where(TABLE.c.id == authorisation_id, standing()))
    if (row["subject_kind"], row["subject_id"], row["tenant"]) != whom or row["once"] or stands is None:
        hint = "it must be of this subject, active, and last until a date"
        raise NotAuthorised(f"a feed cannot serve authorisation {authorisation_id}", hint=hint)


def get(connection: Connection, authorisation_id: str) -> RowMapping:
    """Return the authorisation's row, ended authorisations too. Raises UnknownAuthorisation."""
    row = connection.execute(select(TABLE).where(TABLE.c.id == authorisation_id)).mappings().one_or_none()
    if row is None:
        raise UnknownAuthorisation(f"no authorisation has the id {authorisation_id!r}")
    return row


def shown(connection: Connection, authorisation_id: str) -> RowMapping:
    """Return an authorisation as `of` does. Raises UnknownAuthorisation."""
    get(connection, authorisation_id)
    (row,) = _named(connection, TABLE.c.id == authorisation_id)
    return row


def of(connection: Connection, subject_ref: str | None = None) -> Sequence[RowMapping]:
    """Return all authorisations of a subject, or of all, the newest first, also ended; with `recipient`'s name."""
    return _named(connection, *([TABLE.c.subject_ref == subject_ref] if subject_ref else []))


def _named(connection: Connection, *conditions: ColumnElement[bool]) -> Sequence[RowMapping]:
    named = models.recipient.c.name.label("recipient"), models.recipient.c.domain.label("domain")
    found = standing().label("stands"), confirmed().label("confirmed"), lasting().label("lasts")
    query = select(TABLE, *named, *found, lapsed().label("lapsed")).join(
        models.recipient, models.recipient.c.id == TABLE.c.recipient_id
    )
    query = query.where(*conditions).order_by(TABLE.c.created_at.desc(), TABLE.c.id)
    return connection.execute(query).mappings().all()


def standing() -> ColumnElement[bool]:
    """Return the condition for active authorisations: confirmed or proven, and not revoked, used up or expired."""
    return and_(or_(confirmed(), proven()), lasting())


def confirmed() -> ColumnElement[bool]:
    """Return the condition: the subject gave it, or has confirmed it."""
    # An earlier release does not record the confirmation of those who gave it themselves.
    own = (TABLE.c.created_by.startswith(f"{role}:") for role in THEMSELVES)
    return or_(TABLE.c.confirmed_at.is_not(None), *own)


def proven() -> ColumnElement[bool]:
    """Return the condition: a second person has seen the signed consent, and the subject had a day to object."""
    notice = models.notification
    delivered = (
        outbox.about_consent(TABLE.c.id),
        notice.c.kind == MessageKind.CONSENT_ASKED,
        notice.c.state == MessageState.SENT,
        notice.c.reason.is_(None),
        notice.c.sent_at < now(-NOTICE_SECONDS),
    )
    return and_(TABLE.c.countersigned_at.is_not(None), select(notice.c.id).where(*delivered).exists())


def lasting() -> ColumnElement[bool]:
    """Return the condition for authorisations that are not revoked, used up, expired or lapsed."""
    return and_(unended(), or_(~pull_access.is_pull(), pull_access.is_open()))


def lapsed() -> ColumnElement[bool]:
    """Return the condition: the recipient did not use its access in time, and has to ask the subject again."""
    return and_(unended(), pull_access.is_pull(), ~pull_access.is_open())


def unended() -> ColumnElement[bool]:
    """Return the condition for authorisations that are not revoked, used up or expired."""
    unused = or_(TABLE.c.once.is_(False), TABLE.c.used_at.is_(None))
    lasts = or_(TABLE.c.expires_at.is_(None), TABLE.c.expires_at > now())
    return and_(TABLE.c.revoked_at.is_(None), unused, lasts)


def view(row: Mapping[Any, Any]) -> dict[str, JSON]:
    """Return an authorisation as JSON; its subject by the pseudonym."""
    names = ("id", "recipient_id", "recipient", "domain", "subject_kind", "datasets", "once", "evidence")
    content: dict[str, JSON] = {name: row[name] for name in (*names, "stands", "confirmed", "lapsed")}
    times = ("created_at", "countersigned_at", "expires_at", "used_at", "revoked_at")
    content["pull"] = row["dpop_jkt"] is not None
    return {**content, "subject": row["subject_ref"], **{name: rfc3339(row[name]) for name in times}}


def _parts(name: str) -> tuple[str, str | None]:
    exporter, _, dataset = name.partition("/")
    return exporter, dataset or None
