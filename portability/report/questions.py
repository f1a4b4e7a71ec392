"""What the report counts: one statement for each kind of figure, by month; no statement selects a person or a tenant.

Requests count in the month of their receipt, decisions in their own month. An answer's time is that of the audit log,
as in the request log: an end that comes later does not change it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Integer, Select, and_, case, cast, func, literal, select, tuple_, union_all

from portability.database import models
from portability.database.engine import elapsed_seconds, now
from portability.requests.approvals import Cause
from portability.requests.exports import unanswered
from portability.requests.states import DatasetState, ExportState
from portability.transfers import authorisations
from portability.trust import audit

EXPORT, LEDGER, APPROVAL, RECALL = models.export, models.ledger, models.approval, models.recall
CONSENT, MANDATE, RECIPIENT = models.authorisation, models.mandate, models.recipient
MonthOf: TypeAlias = Callable[[ColumnElement[Any]], ColumnElement[str]]
"""Makes the month of a time in SQL, such as `2026-11`; empty for a month before those of reports."""
MINUTE, HOUR, DAY = 60, 3_600, 86_400
UNITS: Sequence[tuple[int, int]] = ((HOUR, MINUTE), (3 * DAY, HOUR))
"""Up to how many seconds which unit is exact enough; longer times are in whole days."""
ANSWERS = ("export.ready", "export.denied")
"""Events of the audit log that answer a request."""
CLOCKS: Mapping[str, ColumnElement[Any]] = {"gdpr": RECALL.c.gdpr_due_at, "uu_pdp": RECALL.c.pdp_due_at}
"""Ends of the periods to notify a breach, by the law that sets them."""


class RequestStanding(StrEnum):
    """What has become of a request."""

    IN_TIME = "answered_in_time"
    """An archive or a refusal, not after the due date."""
    LATE = "answered_late"
    OPEN = "open"
    """Without an answer, and not due yet."""
    OVERDUE = "overdue"
    WITHDRAWN = "withdrawn"
    """Cancelled by the person, or on their behalf."""
    CLOSED = "closed"
    """Ended otherwise: the person was informed to log in, the data was erased, or it was recalled before an answer."""


class RecallStanding(StrEnum):
    """How a breach record relates to a legal deadline to notify."""

    CLOSED_IN_TIME = "closed_in_time"
    CLOSED_LATE = "closed_late"
    OPEN = "open"
    OVERDUE = "overdue"


class AgreementKind(StrEnum):
    """What a person or a deployment has agreed to."""

    CONSENT = "consent"
    """An authorisation to send data to another provider."""
    MANDATE = "mandate"
    RECIPIENT = "recipient"


class AgreementStanding(StrEnum):
    """Whether an agreement is in force."""

    IN_FORCE = "in_force"
    WAITING = "waiting"
    """For the subject's confirmation, or for the approval of a second officer."""
    ENDED = "ended"
    """Revoked, removed, or used up."""
    EXPIRED = "expired"


def requests(month_of: MonthOf) -> Select[Any]:
    """Select month, profile, regime, standing, seconds until the answer (whole units, rounded up), and requests."""
    log = audit.LOG
    answers = select(log.c.export_id, func.min(log.c.at).label("at")).where(log.c.action.in_(ANSWERS))
    answered = answers.group_by(log.c.export_id).subquery("answered")
    at = answered.c.at
    standing = case(
        (at <= EXPORT.c.due_at, RequestStanding.IN_TIME),
        (at.is_not(None), RequestStanding.LATE),
        (and_(unanswered(), EXPORT.c.due_at < now()), RequestStanding.OVERDUE),
        (unanswered(), RequestStanding.OPEN),
        (EXPORT.c.state == ExportState.CANCELLED, RequestStanding.WITHDRAWN),
        else_=RequestStanding.CLOSED,
    )
    columns = (
        month_of(EXPORT.c.received_at).label("month"),
        EXPORT.c.profile,
        func.coalesce(EXPORT.c.due_regime, "").label("regime"),
        standing.label("standing"),
        _whole_units(cast(func.round(elapsed_seconds(EXPORT.c.received_at, at)), Integer)).label("seconds"),
    )
    each = select(*columns).select_from(EXPORT.outerjoin(answered, answered.c.export_id == EXPORT.c.id)).subquery()
    return _counted(*each.c)


def refusals(month_of: MonthOf) -> Select[Any]:
    """Select month, ground and refused requests: each counts once, on the ground of its last refusal.

    A ready request was not refused, whatever was refused about its archive (`refused_transfers`).
    """
    later = APPROVAL.alias()
    same = (later.c.export_id == APPROVAL.c.export_id, later.c.state == "denied")
    is_later = tuple_(later.c.decided_at, later.c.id) > tuple_(APPROVAL.c.decided_at, APPROVAL.c.id)
    is_last = ~select(later.c.id).where(*same, is_later).exists()
    refused = (EXPORT.c.state == ExportState.DENIED, APPROVAL.c.state == "denied", is_last)
    joined = APPROVAL.join(EXPORT, EXPORT.c.id == APPROVAL.c.export_id)
    columns = (month_of(APPROVAL.c.decided_at), func.coalesce(APPROVAL.c.basis, ""))
    return _counted(*columns).select_from(joined).where(*refused)


def refused_transfers(month_of: MonthOf) -> Select[Any]:
    """Select month, ground and transfers of ready archives that a person refused.

    By their events: an erasure deletes the transfers, and keeps the decision with its ground.
    """
    log = audit.LOG
    decided = (APPROVAL.c.state == "denied", APPROVAL.c.cause == Cause.ABROAD, APPROVAL.c.decided_at <= log.c.at)
    of_transfer = select(APPROVAL.c.basis).where(APPROVAL.c.export_id == log.c.export_id, *decided)
    newest = of_transfer.order_by(APPROVAL.c.decided_at.desc()).limit(1).scalar_subquery()
    columns = (month_of(log.c.at).label("month"), func.coalesce(newest, "").label("ground"))
    # As for requests: what is purged does not count.
    joined = log.join(EXPORT, EXPORT.c.id == log.c.export_id)
    each = select(*columns).select_from(joined).where(log.c.action == "transfer.denied").subquery()
    return _counted(*each.c)


def recalls(month_of: MonthOf) -> Select[Any]:
    """Select month, regime, standing and breach records: each record has a clock for each regime."""
    month = month_of(RECALL.c.opened_at).label("month")
    of_clock = (
        select(month, literal(name).label("regime"), _recall(due).label("standing")) for name, due in CLOCKS.items()
    )
    each = union_all(*of_clock).subquery()
    return _counted(*each.c)


def consents(month_of: MonthOf) -> Select[Any]:
    """Select month, kind, standing and consents."""
    standing = case(
        (authorisations.standing(), AgreementStanding.IN_FORCE),
        (CONSENT.c.revoked_at.is_not(None), AgreementStanding.ENDED),
        (and_(CONSENT.c.once, CONSENT.c.used_at.is_not(None)), AgreementStanding.ENDED),
        (authorisations.lasting(), AgreementStanding.WAITING),
        else_=AgreementStanding.EXPIRED,
    )
    return _agreements(AgreementKind.CONSENT, month_of(CONSENT.c.created_at), standing)


def mandates(month_of: MonthOf) -> Select[Any]:
    """Select month, kind, standing and mandates."""
    standing = case(
        (MANDATE.c.ended_at.is_not(None), AgreementStanding.ENDED),
        (MANDATE.c.expires_at <= now(), AgreementStanding.EXPIRED),
        else_=AgreementStanding.IN_FORCE,
    )
    return _agreements(AgreementKind.MANDATE, month_of(MANDATE.c.created_at), standing)


def recipients(month_of: MonthOf) -> Select[Any]:
    """Select month, kind, standing and recipients."""
    standing = case(
        (RECIPIENT.c.removed_at.is_not(None), AgreementStanding.ENDED),
        (RECIPIENT.c.approved_at.is_(None), AgreementStanding.WAITING),
        else_=AgreementStanding.IN_FORCE,
    )
    return _agreements(AgreementKind.RECIPIENT, month_of(RECIPIENT.c.created_at), standing)


def lacking(month_of: MonthOf) -> Select[Any]:
    """Select month of receipt, exporter, and the copies that lack something from it."""
    columns = (month_of(EXPORT.c.received_at), LEDGER.c.exporter)
    lacks = LEDGER.c.state == DatasetState.PARTIAL
    joined = LEDGER.join(EXPORT, EXPORT.c.id == LEDGER.c.export_id)
    each = select(columns[0].label("month"), columns[1], EXPORT.c.id).distinct().select_from(joined).where(lacks)
    found = each.subquery()
    return _counted(found.c.month, found.c.exporter)


QUESTIONS: Mapping[str, Sequence[Callable[[MonthOf], Select[Any]]]] = {
    "requests": (requests,),
    "refusals": (refusals,),
    "refused_transfers": (refused_transfers,),
    "recalls": (recalls,),
    "agreements": (consents, mandates, recipients),
    "lacking": (lacking,),
}
"""By name."""


def _counted(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns, func.count()).group_by(*columns)


def _agreements(kind: AgreementKind, month: ColumnElement[str], standing: ColumnElement[str]) -> Select[Any]:
    each = select(month.label("month"), literal(str(kind)).label("kind"), standing.label("standing")).subquery()
    return _counted(*each.c)


def _recall(due: ColumnElement[Any]) -> ColumnElement[str]:
    is_open = RECALL.c.closed_at.is_(None)
    return case(
        (and_(is_open, due < now()), RecallStanding.OVERDUE),
        (is_open, RecallStanding.OPEN),
        (RECALL.c.closed_at > due, RecallStanding.CLOSED_LATE),
        else_=RecallStanding.CLOSED_IN_TIME,
    )


def _whole_units(seconds: ColumnElement[int]) -> ColumnElement[Any]:
    """Return seconds rounded up to whole minutes, hours or days; null stays null."""

    def up(unit: int) -> ColumnElement[int]:
        return (seconds + (unit - 1)) - (seconds + (unit - 1)) % unit

    # A receipt may come from a clock that is ahead of the database's.
    return case((seconds <= 0, MINUTE), *((seconds <= most, up(unit)) for most, unit in UNITS), else_=up(DAY))
