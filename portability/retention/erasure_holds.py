"""Erasure holds: whose data must not be erased now, because a request is not answered and delivered.

An erasure before that needs an officer's ground, which is recorded with the request and in the audit log. Portability
refuses its own erasures. For the tables of the platform, the platform's deletion job asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, RowMapping, Table, and_, func, literal, or_, select, true, update

from portability.api import JSON
from portability.api.errors import BadInput
from portability.database import models
from portability.errors import WrongState
from portability.people import subject_locks
from portability.people.subject_locks import SubjectName
from portability.requests import earlier_revisions, exports, retries
from portability.requests.referrals import ReferralState
from portability.requests.reviews import ReviewState
from portability.requests.states import ExportState, TransferState, VolumeState
from portability.trust import audit

EXPORT, VOLUME, HOLD = models.export, models.volume, models.legal_hold


class ErasureGround(StrEnum):
    """Why data may be erased although the person does not have it yet."""

    WITHDRAWN = "withdrawn"
    """The person no longer wants the answer."""
    SUBJECT = "subject"
    """The person asked for the erasure, and was informed that the copy is then lost (GDPR Art. 17)."""
    MISTAKE = "mistake"
    """The request was made for the wrong person."""
    COURT = "court"
    """A court or authority has ordered it."""
    LAW = "law"
    """A law demands the erasure by a day that comes before the answer."""


class HoldReason(StrEnum):
    """Why a subject's data must not be erased now."""

    REQUEST = "request"
    """A request has no answer yet, or it failed, or the next revision of its archive is being made."""
    DELIVERY = "delivery"
    """The archive is ready, and its last revision is not delivered completely."""
    REMAINDER = "remainder"
    """A further revision may follow: a review or a tenant's answer is open."""
    LEGAL_HOLD = "legal_hold"


@dataclass(frozen=True, slots=True)
class HeldSubject:
    """A subject whose data must not be erased now."""

    kind: str
    id: str
    tenant: str | None
    reasons: tuple[HoldReason, ...]
    exports: tuple[str, ...]

    def view(self) -> dict[str, JSON]:
        """Return it as JSON, with the subject's own id: a deletion job compares it with the platform's rows."""
        subject = {"subject": f"{self.kind}:{self.id}", "tenant": self.tenant}
        return {**subject, "reasons": list(self.reasons), "exports": list(self.exports)}


def subjects(
    connection: Connection, whom: SubjectName | None = None, *, tenant: str | None = None
) -> Sequence[HeldSubject]:
    """Return the subjects whose data must not be erased now: all, only this, or those of one tenant."""

    def asked(table: Table) -> ColumnElement[bool]:
        same = subject_locks.of(table, *whom) if whom else true()
        return and_(same, table.c.tenant == tenant if tenant else true())

    found: dict[SubjectName, dict[str, HoldReason | None]] = {}
    for row in pending(connection, asked(EXPORT)):
        found.setdefault(subject_locks.name_of_row(row), {})[row["id"]] = HoldReason(row["hold_reason"])
    for row in connection.execute(select(HOLD).where(subject_locks.stands(), asked(HOLD))).mappings():
        found.setdefault(subject_locks.name_of_row(row), {})[row["id"]] = HoldReason.LEGAL_HOLD
    return [
        HeldSubject(kind, identifier, tenant, tuple(sorted({*filter(None, why.values())})), _export_ids(why))
        for (kind, identifier, tenant), why in sorted(found.items(), key=lambda one: (*one[0][:2], one[0][2] or ""))
    ]


def pending(connection: Connection, whom: ColumnElement[bool]) -> Sequence[RowMapping]:
    """Return exports, of these subjects, whose data the person does not have yet, each with its `hold_reason`."""
    found: list[RowMapping] = []
    waiting = or_(exports.unanswered(), and_(earlier_revisions.next_is_made(), EXPORT.c.erased_at.is_(None)))
    conditions = ((HoldReason.REQUEST, waiting), (HoldReason.DELIVERY, _undelivered()))
    for reason, condition in (*conditions, (HoldReason.REMAINDER, _has_remainder())):
        query = select(EXPORT, literal(str(reason)).label("hold_reason"))
        found += connection.execute(query.where(condition, EXPORT.c.erasure_ground.is_(None), whom)).mappings().all()
    unique = {row["id"]: row for row in reversed(found)}
    return [unique[identifier] for identifier in sorted(unique)]


def permit(connection: Connection, export_ids: Iterable[str], ground: str, *, actor: str) -> None:
    """Record the ground with each export: erasing its subject's data is then allowed.

    Raises: BadInput for an unknown ground; UnknownExport; WrongState if an export does not hold anything.
    """
    if ground not in set(ErasureGround):
        raise BadInput(f"unknown ground {ground!r} of an erasure", hint=f"known grounds: {', '.join(ErasureGround)}")
    for export_id in export_ids:
        exports.lock(connection, export_id)
        if not pending(connection, EXPORT.c.id == export_id):
            raise WrongState(f"export {export_id} does not prevent an erasure")
        connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(erasure_ground=ground))
        audit.record(
            connection, "export.erasure_permitted", actor=actor, export_id=export_id, detail={"ground": ground}
        )


def _undelivered() -> ColumnElement[bool]:
    """Return the condition for ready archives that neither the person nor another provider has completely."""
    link, claim, sent = models.link, models.link_claim, models.transfer
    # By a link of the person: another provider downloads an encrypted copy, which it may refuse.
    joined = claim.join(link, claim.c.link_id == link.c.id)
    of_volume = (link.c.export_id == VOLUME.c.export_id, claim.c.volume == VOLUME.c.number)
    by_person = (link.c.transfer_id.is_(None), claim.c.downloaded_at.is_not(None), retries.is_of_this_archive())
    downloaded = select(claim.c.id).select_from(joined).where(*of_volume, *by_person).exists()
    stored = (VOLUME.c.export_id == EXPORT.c.id, VOLUME.c.state == VolumeState.STORED)
    lacks = select(VOLUME.c.id).where(*stored, ~downloaded).exists()
    confirmed = (sent.c.export_id == EXPORT.c.id, sent.c.state == TransferState.DELIVERED)
    # Of an earlier revision a person lacks what came later, and an archive that was lost is made anew.
    of_this = (sent.c.revision == EXPORT.c.revision, sent.c.created_at >= EXPORT.c.began_at)
    received = select(sent.c.id).where(*confirmed, *of_this)
    fetched = audit.LOG
    is_this = (fetched.c.detail["revision"].as_integer() == EXPORT.c.revision, fetched.c.at >= EXPORT.c.began_at)
    whole = (fetched.c.action == "fetch.completed", *is_this)
    taken = select(fetched.c.entry).where(fetched.c.export_id == EXPORT.c.id, *whole)
    is_delivered = or_(~lacks, received.exists(), taken.exists())
    return and_(EXPORT.c.state == ExportState.READY, EXPORT.c.erased_at.is_(None), ~is_delivered)


def _has_remainder() -> ColumnElement[bool]:
    """Return the condition for ready archives that a decision or a tenant's answer may extend."""
    review, referral = models.review, models.referral
    same = (review.c.subject_kind == EXPORT.c.subject_kind, review.c.subject_id == EXPORT.c.subject_id)
    same_tenant = func.coalesce(review.c.tenant, "") == func.coalesce(EXPORT.c.tenant, "")
    open_review = select(review.c.id).where(*same, same_tenant, review.c.state == ReviewState.OPEN).exists()
    is_open = (referral.c.state == ReferralState.OPEN, referral.c.ground.is_not(None))
    open_referral = select(referral.c.id).where(referral.c.export_id == EXPORT.c.id, *is_open).exists()
    return and_(EXPORT.c.state == ExportState.READY, EXPORT.c.erased_at.is_(None), or_(open_review, open_referral))


def _export_ids(why: dict[str, HoldReason | None]) -> tuple[str, ...]:
    return tuple(identifier for identifier, reason in why.items() if reason is not HoldReason.LEGAL_HOLD)
