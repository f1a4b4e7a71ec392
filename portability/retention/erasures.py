"""Erasures: all stored data of one subject is deleted; legally required records stay, anonymous (GDPR Art. 17).

An erasure is a row. `begin` stops delivery in one transaction: links end, archives expire, no request is accepted.
Then any clock deletes objects and anonymises exports one by one (worker/clock/erasure.py), also after a kill.
At the end the row itself is anonymised, and the subject's pseudonym no longer identifies anyone.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Required, TypedDict, Unpack

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    func,
    insert,
    select,
    update,
)

from portability.api import JSON
from portability.api.errors import BadInput, PortabilityError
from portability.api.times import rfc3339
from portability.database import models
from portability.database.engine import now
from portability.errors import ExportsRunning, ReasonRequired
from portability.inbox import received
from portability.messages import recipient_notices
from portability.messages.recipient_notices import NoticeKind
from portability.people import subject_locks, subjects
from portability.people.subject_locks import SubjectName
from portability.requests import exports
from portability.requests.states import DISCARDED, ONGOING, ExportState, TransferState
from portability.requests.transition import end_delivery, transition
from portability.retention import anonymise, erasure_holds, named_rows
from portability.trust import audit

TABLE, EXPORT, VOLUME = models.erasure, models.export, models.volume
TRANSFER, COPY = models.transfer, models.transfer_copy


class NotDelivered(BadInput):
    """The subject has requests that are not answered, or whose archive no one has downloaded completely."""

    code = "not_delivered"
    default_hint = "deliver the data first, or add --ground with an officer's ground"


class BeginOptions(TypedDict, total=False):
    """Arguments of `begin`."""

    actor: Required[str]
    cancel_running: bool
    ground: str | None


class ErasureState(StrEnum):
    """The state of an erasure."""

    BEGUN = "begun"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Whom:
    """The subject of an erasure."""

    kind: str
    id: str
    tenant: str | None

    @classmethod
    def parse(cls, subject: str, tenant: str | None) -> Whom:
        """Parse a caller's input. Raises BadSubject."""
        return cls(*subjects.parse(subject, tenant))

    @property
    def name(self) -> SubjectName:
        return self.kind, self.id, self.tenant

    @property
    def exports(self) -> ColumnElement[bool]:
        return subject_locks.of(EXPORT, *self.name)


def check_reason(reason: str) -> None:
    """Check that an erasure has a reason. Raises ReasonRequired."""
    if not reason.strip():
        raise ReasonRequired("an erasure needs a reason: the request and its reference")


def begun_of(connection: Connection, whom: Whom) -> str | None:
    """Return the id of the subject's running erasure; None: none runs."""
    begun = select(TABLE.c.id).where(subject_locks.of(TABLE, whom.kind, whom.id, whom.tenant), _begun())
    return connection.scalar(begun)


def refusal(running: int, waiting: int, *, cancel_running: bool, ground: str | None) -> PortabilityError | None:
    """Return why an erasure is refused; None: it may begin.

    Args:
        running: exports of the subject that have not ended.
        waiting: exports whose data the person does not have yet (`erasure_holds.pending`).
        cancel_running: whether the erasure cancels what runs.
        ground: that of an officer for erasing what the person does not have yet.
    """
    if running and not cancel_running:
        return ExportsRunning(f"exports of this subject that have not ended: {running}")
    if waiting and not ground:
        return NotDelivered(f"requests of this subject that are not answered, or not downloaded: {waiting}")
    return None


def begin_if_stored(connection: Connection, whom: Whom, *, reason: str, **how: Unpack[BeginOptions]) -> str | None:
    """Do as `begin`; None: nothing of the subject is stored. It was erased before, or was never known here.

    An erasure forgets whom it was about, so a command that is repeated cannot get the id of the first. Raises as
    `begin`.
    """
    check_reason(reason)
    subject_locks.lock(connection, whom.name)
    subject_locks.check_not_held(connection, *whom.name)
    if begun_of(connection, whom) or named_rows.is_stored(connection, whom.name):
        return begin(connection, whom, reason=reason, **how)
    return None


def begin(
    connection: Connection,
    whom: Whom,
    *,
    reason: str,
    actor: str,
    cancel_running: bool = False,
    ground: str | None = None,
) -> str:
    """Stop delivery and return the erasure's id; a running erasure's id if one has already begun.

    `ground` is that of an officer for erasing data that the person does not have yet: `erasure_holds.ErasureGround`.

    Raises: ReasonRequired; OnLegalHold; ExportsRunning, unless `cancel_running`; NotDelivered without a ground;
    BadInput for an unknown ground.
    """
    check_reason(reason)
    subject_locks.lock(connection, (whom.kind, whom.id, whom.tenant))
    if known := begun_of(connection, whom):
        return known
    subject_locks.check_not_held(connection, whom.kind, whom.id, whom.tenant)
    matching = select(EXPORT).where(whom.exports).order_by(EXPORT.c.id)
    rows = connection.execute(matching.with_for_update()).mappings().all()
    running = [row for row in rows if row["state"] in ONGOING]
    waiting = [row["id"] for row in erasure_holds.pending(connection, whom.exports)]
    if refused := refusal(len(running), len(waiting), cancel_running=cancel_running, ground=ground):
        raise refused
    if ground:
        erasure_holds.permit(connection, waiting, ground, actor=actor)
    ref = subjects.pairwise_ref(connection, whom.kind, whom.id, whom.tenant)
    erasure_id = f"era_{secrets.token_hex(10)}"
    subject = {"subject_kind": whom.kind, "subject_id": whom.id, "tenant": whom.tenant}
    values = {
        "id": erasure_id,
        "reason": reason.strip(),
        "state": ErasureState.BEGUN,
        "begun_by": actor,
        "begun_at": now(),
    }
    connection.execute(insert(TABLE).values(**subject, **values, exports=0, volumes=0, bytes=0))
    audit.record(connection, "erasure.begun", actor=actor, detail={"erasure": erasure_id, "subject": ref})
    for row in running:
        exports.cancel(connection, row["id"], actor=actor, with_archive=True)
    for row in rows:
        close(connection, row, actor=actor)
    # A process that imports one of them has lost its claim: it ends, and undoes what it has begun.
    received.forget_subject(connection, *whom.name)
    _inform_recipients(connection, [row["id"] for row in rows], actor=actor)
    return erasure_id


def _inform_recipients(connection: Connection, export_ids: Sequence[str], *, actor: str) -> None:
    """Queue notices to who has received data: as long as nothing is deleted, that is known."""
    sent = and_(TRANSFER.c.export_id.in_(export_ids), recipient_notices.fetched())
    notices = recipient_notices.queue(connection, NoticeKind.ERASED, sent)
    recipient_notices.record(connection, notices, actor=actor)


def close(connection: Connection, row: RowMapping, *, actor: str) -> None:
    """Stop all downloads and transfers of a locked export, and what links lead to: also the reasons of a refusal."""
    revoked = TransferState.REVOKED
    if row["state"] == ExportState.READY:
        erased: audit.Detail = {"erasure": True}
        transition(connection, row, ExportState.EXPIRED, actor=actor, detail=erased, transfers_become=revoked)
    else:
        ended = end_delivery(connection, row["id"], revoked, actor=actor)
        ended.record(connection, revoked, actor=actor)


def begun(connection: Connection) -> Sequence[RowMapping]:
    """Return erasures that have not ended, oldest first."""
    return connection.execute(select(TABLE).where(_begun()).order_by(TABLE.c.begun_at)).mappings().all()


def exports_of(connection: Connection, erasure: RowMapping) -> Sequence[RowMapping]:
    """Return the exports that are still to be anonymised; empty once the erasure has ended.

    `erasure` is a row that was read before. What the subject has requested after the end is not part of the erasure:
    both are read in one statement.
    """
    whom = Whom(erasure["subject_kind"], erasure["subject_id"], erasure["tenant"])
    runs = select(TABLE.c.id).where(TABLE.c.id == erasure["id"], _begun()).exists()
    return connection.execute(select(EXPORT).where(whom.exports, runs).order_by(EXPORT.c.id)).mappings().all()


def ref_of(connection: Connection, erasure: RowMapping) -> str | None:
    """Return the pseudonym of the person that a running erasure is about; None: it has ended.

    After the end the person may have another pseudonym, so the state is read after the pseudonym.
    """
    ref = subjects.pairwise_ref(connection, erasure["subject_kind"], erasure["subject_id"], erasure["tenant"])
    runs = connection.scalar(select(TABLE.c.id).where(TABLE.c.id == erasure["id"], _begun()))
    return ref if runs else None


def strip(connection: Connection, erasure: RowMapping, export_id: str) -> bool:
    """Anonymise an export once none of it is stored and no worker uses it; returns whether it was done now."""
    row = exports.lock(connection, export_id)
    if row["erased_at"] is not None or row["state"] not in DISCARDED or is_stored(connection, export_id):
        return False
    deleted = models.deleted_volume
    gone = (deleted.c.export_id == export_id, deleted.c.why == "erased")
    size = func.coalesce(func.sum(deleted.c.bytes), 0)
    count, total = connection.execute(select(func.count(), size).select_from(deleted).where(*gone)).one()
    named_rows.forget_orders(connection, row)
    anonymise.strip(connection, row)
    counted = {"exports": TABLE.c.exports + 1, "volumes": TABLE.c.volumes + count, "bytes": TABLE.c.bytes + int(total)}
    connection.execute(update(TABLE).where(TABLE.c.id == erasure["id"]).values(**counted))
    detail: audit.Detail = {"erasure": erasure["id"], "volumes": count}
    audit.record(connection, "export.erased", actor="clock", export_id=export_id, detail=detail)
    return True


def is_stored(connection: Connection, export_id: str) -> bool:
    """Return whether any of its objects may still be in storage, or being uploaded."""
    volumes = select(VOLUME.c.id).where(VOLUME.c.export_id == export_id)
    matching = COPY.c.transfer_id.in_(select(TRANSFER.c.id).where(TRANSFER.c.export_id == export_id))
    found = (connection.scalar(query.limit(1)) for query in (volumes, select(COPY.c.id).where(matching)))
    return any(one is not None for one in found)


def finish(connection: Connection, erasure_id: str) -> bool:
    """End an erasure without remaining exports, and anonymise its row; returns whether it was done now."""
    running = select(TABLE).where(TABLE.c.id == erasure_id, _begun())
    row = connection.execute(running).mappings().one_or_none()
    if row is None:
        return False
    subject_locks.lock(connection, subject_locks.name_of_row(row))
    # Again under the lock: another clock may have ended it.
    row = connection.execute(running).mappings().one_or_none()
    if row is None or exports_of(connection, row):
        return False
    whom = Whom(row["subject_kind"], row["subject_id"], row["tenant"])
    kept = named_rows.forget(connection, whom.name)
    subjects.forget_ref(connection, *whom.name)
    ended = {"state": ErasureState.DONE, "ended_at": now(), "subject_id": None, "tenant": None, "reason": None}
    own = anonymise.role(row["begun_by"]) if row["begun_by"] == f"subject:{whom.id}" else row["begun_by"]
    connection.execute(update(TABLE).where(TABLE.c.id == erasure_id).values(**ended, begun_by=own))
    detail: audit.Detail = {"erasure": erasure_id, "exports": row["exports"], "volumes": row["volumes"]}
    kept_rows: audit.Detail = {"kept": kept} if kept else {}
    audit.record(connection, "erasure.ended", actor="clock", detail={**detail, **kept_rows})
    return True


def get(connection: Connection, erasure_id: str) -> RowMapping:
    """Return an erasure's row."""
    return connection.execute(select(TABLE).where(TABLE.c.id == erasure_id)).mappings().one()


def view_of_none(whom: Whom) -> dict[str, JSON]:
    """Return the same JSON as `view` for a subject of whom nothing is stored: no erasure is needed."""
    counted: dict[str, JSON] = dict.fromkeys(("exports", "volumes", "bytes"), 0)
    state: dict[str, JSON] = {"id": None, "state": ErasureState.DONE, "subject_kind": whom.kind}
    return {**state, **counted, "begun_at": None, "ended_at": None}


def view(row: RowMapping) -> dict[str, JSON]:
    """Return an erasure as JSON, without any person's id."""
    names, times = ("id", "state", "subject_kind", "exports", "volumes", "bytes"), ("begun_at", "ended_at")
    content: dict[str, JSON] = {name: row[name] for name in names}
    return {**content, **{name: rfc3339(row[name]) for name in times}}


def _begun() -> ColumnElement[bool]:
    return TABLE.c.state == ErasureState.BEGUN
