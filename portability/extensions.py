"""What moves the deadline of a request: its one extension, and pauses while a person is waited for (R12, R13).

The row's `due_at` is what counts: it is set anew with each event, and while a pause lasts, by the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, insert, select, update

from portability import audit, deadlines, exports, models, notify
from portability.db import now
from portability.deadlines import Clock, Pause, PauseReason, Place
from portability.errors import BadInput, WrongState
from portability.states import UNDECIDED

EXPORT, EVENT = models.export, models.deadline_event


class Kind(StrEnum):
    """What happened to a deadline."""

    EXTENDED = "extended"
    PAUSED = "paused"
    RESUMED = "resumed"


def extend(
    connection: Connection, export_id: str, *, reason: str, actor: str, regimes: Iterable[str], place: Place
) -> datetime:
    """Give an open request its one extension and tell the person why; returns the new deadline.

    Raises: UnknownExport; BadInput without a reason; WrongState for a second one, a late one, for an export that has
    ended, and where the deadline is that of a regime without an extension.
    """
    row = _open(connection, export_id)
    applying, clock, present = deadlines.applying(regimes, row["profile"]), _clock(connection, row), _now(connection)
    # The strictest regime decides, so it is the one that has to allow it.
    strictest = [min(applying, key=lambda regime: deadlines.due(regime, clock, place, at=present))]
    longer = deadlines.extended(clock, strictest, place, at=present, reason=reason)
    _note(connection, export_id, Kind.EXTENDED, actor, reason.strip())
    due_at = _set(connection, export_id, deadlines.earliest(applying, longer, place, at=present))
    audit.record(connection, "deadline.extended", actor=actor, export_id=export_id)
    notify.queue(connection, notify.Kind.EXTENDED, export_id)
    return due_at


def pause(connection: Connection, export_id: str, *, reason: str, actor: str) -> None:
    """Note that a person is waited for. It stops the clocks of those regimes alone that know the reason.

    Raises: UnknownExport; BadInput for another reason; WrongState where it stands still already or has ended.
    """
    try:
        known = PauseReason(reason)
    except ValueError:
        raise BadInput("no such reason to pause", hint=f"reasons are {', '.join(PauseReason)}") from None
    _open(connection, export_id)
    if _lasting(connection, export_id):
        raise WrongState(f"the deadline of export {export_id} stands still already")
    _note(connection, export_id, Kind.PAUSED, actor, known)
    audit.record(connection, "deadline.paused", actor=actor, export_id=export_id, detail={"reason": known})


def resume(connection: Connection, export_id: str, *, actor: str, regimes: Iterable[str], place: Place) -> datetime:
    """End a pause; returns the deadline that counts now. Raises UnknownExport; WrongState without a pause."""
    row = exports.lock(connection, export_id)
    if not _lasting(connection, export_id):
        raise WrongState(f"the deadline of export {export_id} does not stand still")
    _note(connection, export_id, Kind.RESUMED, actor)
    due_at = _set(connection, export_id, _due(connection, row, regimes, place))
    audit.record(connection, "deadline.resumed", actor=actor, export_id=export_id)
    return due_at


def refresh(connection: Connection, regimes: Sequence[str], place: Place) -> int:
    """Move the deadlines of all open requests whose pause lasts; returns how many there are."""
    ended = select(EVENT.c.export_id).where(EVENT.c.kind == Kind.PAUSED).distinct()
    found = (
        connection.execute(select(EXPORT).where(EXPORT.c.state.in_(UNDECIDED), EXPORT.c.id.in_(ended))).mappings().all()
    )
    paused = [row for row in found if _lasting(connection, row["id"])]
    for row in paused:
        _set(connection, row["id"], _due(connection, row, regimes, place))
    return len(paused)


def events(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """What happened to the deadline, in order, with the reasons in people's words."""
    query = select(EVENT).where(EVENT.c.export_id == export_id).order_by(EVENT.c.id)
    return connection.execute(query).mappings().all()


def _due(connection: Connection, row: RowMapping, regimes: Iterable[str], place: Place) -> datetime:
    applying = deadlines.applying(regimes, row["profile"])
    return deadlines.earliest(applying, _clock(connection, row), place, at=_now(connection))


def _clock(connection: Connection, row: RowMapping) -> Clock:
    pauses: list[Pause] = []
    extended = False
    for event in events(connection, row["id"]):
        match event["kind"]:
            case Kind.EXTENDED:
                extended = True
            case Kind.PAUSED:
                pauses.append(Pause(PauseReason(event["reason"]), event["at"]))
            case Kind.RESUMED:
                pauses[-1] = Pause(pauses[-1].reason, pauses[-1].began_at, event["at"])
    return Clock(row["received_at"], tuple(pauses), extended, row["notice_ends_at"])


def _lasting(connection: Connection, export_id: str) -> bool:
    kinds = [event["kind"] for event in events(connection, export_id) if event["kind"] != Kind.EXTENDED]
    return kinds[-1:] == [Kind.PAUSED]


def _open(connection: Connection, export_id: str) -> RowMapping:
    row = exports.lock(connection, export_id)
    if row["state"] not in UNDECIDED:
        raise WrongState(f"export {export_id} is {row['state']} already", hint="the deadline of an open export moves")
    return row


def _note(connection: Connection, export_id: str, kind: Kind, actor: str, reason: str | None = None) -> None:
    values = {"export_id": export_id, "kind": kind, "reason": reason, "actor": actor, "at": now()}
    connection.execute(insert(EVENT).values(**values))


def _set(connection: Connection, export_id: str, due_at: datetime) -> datetime:
    connection.execute(update(EXPORT).where(EXPORT.c.id == export_id).values(due_at=due_at))
    return due_at


def _now(connection: Connection) -> datetime:
    moment: datetime = connection.execute(select(now().label("at")).select_from(models.deployment)).scalar_one()
    return moment
