"""Changes of a request's deadline: its only extension, and pauses while a person has to answer (R12, R13).

The row's `due_at` counts: each event sets it again, and the clock moves it while a pause is running.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now
from portability.errors import WrongState
from portability.law import deadlines
from portability.law.deadlines import BusinessCalendar, Deadline, DeadlineClock, Pause
from portability.law.extensions import extended, extended_by_customer, first_end_of_others
from portability.law.regime import ExtensionGround, PauseReason, Regime, SubjectFacts
from portability.law.regimes import Law, applying
from portability.messages import outbox
from portability.requests import exports
from portability.requests.acceptance import deadline_columns
from portability.requests.states import UNANSWERED
from portability.trust import audit

EXPORT, EVENT = models.export, models.deadline_event


class DeadlineEventKind(StrEnum):
    """What changed a deadline."""

    EXTENDED = "extended"
    PROLONGED = "prolonged"
    """The customer has extended its own transition (Data Act Art. 25(5))."""
    PAUSED = "paused"
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension that is asked for."""

    reason: str
    """Why; the person reads it."""
    ground: ExtensionGround | None = None
    """The ground that some laws require."""
    until: datetime | None = None
    """The chosen end; None: the longest period that the law allows."""
    by_customer: bool = False
    """Whether the customer extends its own transition, to `until`."""


def extend(
    connection: Connection,
    export_id: str,
    asked: Extension,
    *,
    actor: str,
    regimes: Iterable[Law],
    place: BusinessCalendar,
) -> datetime:
    """Extend an open request's deadline once; returns the new deadline.

    The person is informed of the reason, unless the customer itself extends its transition.

    Raises: UnknownExport; BadInput without a reason, ground or end; BadDate for an end that is not possible; WrongState
    for a second or late extension, an ended export, and if the deadline comes from a regime without extensions.
    """
    row = _open(connection, export_id)
    laws, clock, present = _laws(row, regimes), _clock(connection, row), _now(connection)
    if asked.by_customer:
        if asked.until is None or not asked.reason.strip():
            raise BadInput("the customer's extension needs its end and the reference of its notice", hint="use --until")
        longer = extended_by_customer(clock, laws, place, at=present, ends_at=asked.until)
    else:
        # The strictest regime sets the deadline, so that regime must allow the extension.
        strictest = [deadlines.decisive(laws, clock, place, at=present)[0]]
        # The deadline of a law that does not allow it stays: no end is later.
        others = [law for law in laws if law not in strictest]
        most = first_end_of_others(clock, others, place, at=present, ground=asked.ground)
        asked = replace(asked, until=min(filter(None, (asked.until, most)), default=None))
        chosen = {"reason": asked.reason, "ground": asked.ground, "until": asked.until}
        longer = extended(clock, strictest, place, at=present, **chosen)  # type: ignore[arg-type]  # as in Extension
    kind = DeadlineEventKind.PROLONGED if asked.by_customer else DeadlineEventKind.EXTENDED
    _note(connection, export_id, kind, actor, asked.reason.strip(), ground=asked.ground, ends_at=asked.until)
    due = deadlines.deadline(laws, row["profile"], longer, place, at=present)
    detail: audit.Detail = {"by": "customer"} if asked.by_customer else {}
    audit.record(connection, "deadline.extended", actor=actor, export_id=export_id, detail=detail)
    if not asked.by_customer:
        outbox.queue(connection, outbox.MessageKind.EXTENDED, export_id)
    return _set(connection, export_id, due)


def pause(connection: Connection, export_id: str, *, reason: str, actor: str) -> None:
    """Record that a person has to answer first. Only regimes that allow the reason stop their deadline.

    Raises: UnknownExport; BadInput for an unknown reason; WrongState if already paused or ended.
    """
    try:
        known = PauseReason(reason)
    except ValueError:
        raise BadInput("unknown reason for a pause", hint=f"known reasons: {', '.join(PauseReason)}") from None
    _open(connection, export_id)
    if _lasting(connection, export_id):
        raise WrongState(f"the deadline of export {export_id} is already paused")
    _note(connection, export_id, DeadlineEventKind.PAUSED, actor, known)
    audit.record(connection, "deadline.paused", actor=actor, export_id=export_id, detail={"reason": known})


def resume(
    connection: Connection, export_id: str, *, actor: str, regimes: Iterable[Law], place: BusinessCalendar
) -> datetime:
    """End a pause; returns the current deadline. Raises UnknownExport; WrongState if it is not paused."""
    row = exports.lock_unerased(connection, export_id)
    if not _lasting(connection, export_id):
        raise WrongState(f"the deadline of export {export_id} is not paused")
    _note(connection, export_id, DeadlineEventKind.RESUMED, actor)
    due_at = _set(connection, export_id, _due(connection, row, regimes, place))
    audit.record(connection, "deadline.resumed", actor=actor, export_id=export_id)
    return due_at


def count_from(
    connection: Connection, export_id: str, received_at: datetime, *, regimes: Iterable[Law], place: BusinessCalendar
) -> None:
    """Count an unanswered request from an earlier receipt of the same request; a later one changes nothing."""
    row = exports.lock(connection, export_id)
    if received_at >= row["received_at"] or not exports.is_unanswered(row):
        return
    connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(received_at=received_at))
    _set(connection, export_id, _due(connection, exports.get(connection, export_id), regimes, place))


def running_pauses(connection: Connection) -> Sequence[str]:
    """Return the open requests with a running pause, whose deadlines move."""
    paused = (EVENT.c.export_id == EXPORT.c.id, EVENT.c.kind == DeadlineEventKind.PAUSED)
    ever = select(func.count()).select_from(EVENT).where(*paused).scalar_subquery()
    living = (EXPORT.c.state.in_(UNANSWERED), EXPORT.c.erased_at.is_(None))
    # A count is looked up for each living request; `EXISTS` becomes a join, for which all pauses ever are read.
    query = select(EXPORT.c.id).where(*living, ever > 0)
    return [export_id for export_id in connection.scalars(query).all() if _lasting(connection, export_id)]


def refresh(connection: Connection, export_id: str, regimes: Sequence[Law], place: BusinessCalendar) -> bool:
    """Move the deadline of an open request with a running pause; returns False if it has neither any more.

    Raises: UnknownExport; BadInput if no regime applies to it.
    """
    row = exports.lock(connection, export_id)
    is_due = exports.is_unanswered(row) and _lasting(connection, export_id)
    if is_due:
        _set(connection, export_id, _due(connection, row, regimes, place))
    return is_due


def events(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """Return the changes of the deadline, in order, with the reasons as entered."""
    query = select(EVENT).where(EVENT.c.export_id == export_id).order_by(EVENT.c.id)
    return connection.execute(query).mappings().all()


def _due(connection: Connection, row: RowMapping, regimes: Iterable[Law], place: BusinessCalendar) -> Deadline:
    clock = _clock(connection, row)
    return deadlines.deadline(_laws(row, regimes), row["profile"], clock, place, at=_now(connection))


def _laws(row: RowMapping, regimes: Iterable[Law]) -> Sequence[Regime]:
    """Return the regimes that apply to the subject of an export."""
    return applying(regimes, row["profile"], SubjectFacts(row["subject_kind"], row["residence"], row["tenant"]))


def _clock(connection: Connection, row: RowMapping) -> DeadlineClock:
    pauses: list[Pause] = []
    is_extended, until, customer_ends_at = False, None, None
    for event in events(connection, row["id"]):
        match event["kind"]:
            case DeadlineEventKind.EXTENDED:
                is_extended, until = True, event["ends_at"]
            case DeadlineEventKind.PROLONGED:
                customer_ends_at = event["ends_at"]
            case DeadlineEventKind.PAUSED:
                pauses.append(Pause(PauseReason(event["reason"]), event["at"]))
            case DeadlineEventKind.RESUMED:
                pauses[-1] = Pause(pauses[-1].reason, pauses[-1].began_at, event["at"])
    return DeadlineClock(row["received_at"], tuple(pauses), is_extended, until, customer_ends_at, row["notice_ends_at"])


def _lasting(connection: Connection, export_id: str) -> bool:
    pausing = (DeadlineEventKind.PAUSED, DeadlineEventKind.RESUMED)
    kinds = [event["kind"] for event in events(connection, export_id) if event["kind"] in pausing]
    return kinds[-1:] == [DeadlineEventKind.PAUSED]


def _open(connection: Connection, export_id: str) -> RowMapping:
    row = exports.lock_unerased(connection, export_id)
    if exports.is_unanswered(row):
        return row
    state = "was ready" if exports.is_revised(row) else f"is {row['state']}"
    raise WrongState(
        f"export {export_id} {state}: its deadline is final", hint="only the deadline of an open export can change"
    )


def _note(
    connection: Connection,
    export_id: str,
    kind: DeadlineEventKind,
    actor: str,
    reason: str | None = None,
    **chosen: ExtensionGround | datetime | None,
) -> None:
    values = {"export_id": export_id, "kind": kind, "reason": reason, "actor": actor, "at": now(), **chosen}
    connection.execute(insert(EVENT).values(**values))


def _set(connection: Connection, export_id: str, due: Deadline) -> datetime:
    connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(**deadline_columns(due)))
    return due.at


def _now(connection: Connection) -> datetime:
    moment: datetime = connection.execute(select(now().label("at")).select_from(models.deployment)).scalar_one()
    return moment
