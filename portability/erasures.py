"""Erasures: all that is kept here of one subject goes; what the law wants stays, without the person (GDPR Art. 17).

An erasure is a row. `begin` shuts the door in one transaction: links end, archives are over, nothing new is accepted.
Then objects are deleted and exports stripped one by one (worker/erase.py), by whoever comes, also after a kill. At its
end the row itself forgets whom it was about, and the subject's pseudonym leads to nobody any more.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, or_, select, update

from portability import audit, exclusion, exports, links, models, remains, subjects, transfer_ends
from portability.api import JSON, SubjectKind
from portability.db import now
from portability.refusals import ExportsRunning, ReasonRequired
from portability.states import UNDECIDED, ExportState, TransferState

TABLE, EXPORT, VOLUME, APPROVAL = models.erasure, models.export, models.volume, models.approval
TRANSFER, COPY = models.transfer, models.transfer_copy
RUNNING = UNDECIDED
"""States of exports that an erasure waits for, once they are cancelled."""


class State(StrEnum):
    """Where an erasure stands."""

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
        """From a caller's words. Raises BadSubject."""
        return cls(*subjects.parse(subject, tenant))

    @property
    def exports(self) -> ColumnElement[bool]:
        return exclusion.of(EXPORT, self.kind, self.id, self.tenant)


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is of a subject."""

    exports: int
    running: int
    volumes: int
    bytes: int
    is_held: bool


def extent(connection: Connection, whom: Whom) -> Extent:
    """What an erasure would take away."""
    running = func.count().filter(EXPORT.c.state.in_(RUNNING))
    counted = connection.execute(select(func.count(), running).select_from(EXPORT).where(whom.exports)).one()
    stored = (VOLUME.c.export_id.in_(select(EXPORT.c.id).where(whom.exports)), VOLUME.c.state == "stored")
    size = func.coalesce(func.sum(VOLUME.c.bytes), 0)
    volumes = connection.execute(select(func.count(), size).select_from(VOLUME).where(*stored)).one()
    hold = models.legal_hold
    standing = select(hold.c.id).where(exclusion.of(hold, whom.kind, whom.id, whom.tenant), exclusion.stands())
    return Extent(counted[0], counted[1], volumes[0], int(volumes[1]), connection.scalar(standing.limit(1)) is not None)


def begin(connection: Connection, whom: Whom, *, reason: str, actor: str, cancel_running: bool = False) -> str:
    """Shut the door and return the erasure's id; of one that has begun already, its own.

    Raises: ReasonRequired; OnLegalHold; ExportsRunning, unless they are to be cancelled.
    """
    if not reason.strip():
        raise ReasonRequired("an erasure says why: the request and its reference")
    exclusion.lock(connection)
    begun = select(TABLE.c.id).where(exclusion.of(TABLE, whom.kind, whom.id, whom.tenant), _begun())
    if (known := connection.scalar(begun)) is not None:
        return str(known)
    exclusion.check_not_held(connection, whom.kind, whom.id, whom.tenant)
    mine = select(EXPORT).where(whom.exports).order_by(EXPORT.c.id)
    rows = connection.execute(mine.with_for_update()).mappings().all()
    running = [row for row in rows if row["state"] in RUNNING]
    if running and not cancel_running:
        raise ExportsRunning(f"{len(running)} exports of this subject have not ended")
    ref = subjects.pairwise_ref(connection, whom.kind, whom.id, whom.tenant)
    erasure_id = f"era_{secrets.token_hex(10)}"
    subject = {"subject_kind": whom.kind, "subject_id": whom.id, "tenant": whom.tenant}
    values = {"id": erasure_id, "reason": reason.strip(), "state": State.BEGUN, "begun_by": actor, "begun_at": now()}
    connection.execute(insert(TABLE).values(**subject, **values, exports=0, volumes=0, bytes=0))
    audit.record(connection, "erasure.begun", actor=actor, detail={"erasure": erasure_id, "subject": ref})
    for row in running:
        exports.cancel(connection, row["id"], actor=actor)
    for row in rows:
        close(connection, row, actor=actor)
    return erasure_id


def close(connection: Connection, row: RowMapping, *, actor: str) -> None:
    """Let nobody download a locked export any more, and let no recipient have it."""
    transfer_ends.end(connection, TRANSFER.c.export_id == row["id"], TransferState.REVOKED, actor=actor)
    if row["state"] == ExportState.READY:
        connection.execute(update(EXPORT).where(EXPORT.c.id == row["id"]).values(state=ExportState.EXPIRED))
        links.revoke_all(connection, row["id"], actor=actor)
        audit.record(connection, "export.expired", actor=actor, export_id=row["id"], detail={"erasure": True})


def begun(connection: Connection) -> Sequence[RowMapping]:
    """Erasures that have not ended, oldest first."""
    return connection.execute(select(TABLE).where(_begun()).order_by(TABLE.c.begun_at)).mappings().all()


def exports_of(connection: Connection, erasure: RowMapping) -> Sequence[RowMapping]:
    """What is still to be stripped."""
    whom = Whom(erasure["subject_kind"], erasure["subject_id"], erasure["tenant"])
    return connection.execute(select(EXPORT).where(whom.exports).order_by(EXPORT.c.id)).mappings().all()


def strip(connection: Connection, erasure: RowMapping, export_id: str) -> bool:
    """Make an export anonymous once nothing of it is stored and nobody works on it; whether it was done now."""
    row = exports.lock(connection, export_id)
    if row["erased_at"] is not None or row["state"] not in remains.ENDED or _is_stored(connection, export_id):
        return False
    deleted = models.deleted_volume
    gone = (deleted.c.export_id == export_id, deleted.c.why == "erased")
    size = func.coalesce(func.sum(deleted.c.bytes), 0)
    count, total = connection.execute(select(func.count(), size).select_from(deleted).where(*gone)).one()
    remains.strip(connection, row)
    counted = {"exports": TABLE.c.exports + 1, "volumes": TABLE.c.volumes + count, "bytes": TABLE.c.bytes + int(total)}
    connection.execute(update(TABLE).where(TABLE.c.id == erasure["id"]).values(**counted))
    detail: audit.Detail = {"erasure": erasure["id"], "volumes": count}
    audit.record(connection, "export.erased", actor="clock", export_id=export_id, detail=detail)
    return True


def _is_stored(connection: Connection, export_id: str) -> bool:
    """Whether anything of it may still lie in storage, or be on its way there."""
    volumes = select(VOLUME.c.id).where(VOLUME.c.export_id == export_id)
    mine = COPY.c.transfer_id.in_(select(TRANSFER.c.id).where(TRANSFER.c.export_id == export_id))
    found = (connection.scalar(query.limit(1)) for query in (volumes, select(COPY.c.id).where(mine)))
    return any(one is not None for one in found)


def finish(connection: Connection, erasure_id: str) -> bool:
    """End an erasure of which no export is left, and forget whom it was about; whether it was done now."""
    exclusion.lock(connection)
    row = connection.execute(select(TABLE).where(TABLE.c.id == erasure_id, _begun())).mappings().one_or_none()
    if row is None or exports_of(connection, row):
        return False
    whom = Whom(row["subject_kind"], row["subject_id"], row["tenant"])
    _forget(connection, whom)
    subjects.forget_ref(connection, whom.kind, whom.id, whom.tenant)
    ended = {"state": State.DONE, "ended_at": now(), "subject_id": None, "tenant": None, "reason": None}
    own = remains.role(row["begun_by"]) if row["begun_by"] == f"subject:{whom.id}" else row["begun_by"]
    connection.execute(update(TABLE).where(TABLE.c.id == erasure_id).values(**ended, begun_by=own))
    detail: audit.Detail = {"erasure": erasure_id, "exports": row["exports"], "volumes": row["volumes"]}
    audit.record(connection, "erasure.ended", actor="clock", detail=detail)
    return True


def get(connection: Connection, erasure_id: str) -> RowMapping:
    """An erasure's row."""
    return connection.execute(select(TABLE).where(TABLE.c.id == erasure_id)).mappings().one()


def view(row: RowMapping) -> dict[str, JSON]:
    """An erasure as JSON: nobody's id."""
    names, times = ("id", "state", "subject_kind", "exports", "volumes", "bytes"), ("begun_at", "ended_at")
    told: dict[str, JSON] = {name: row[name] for name in names}
    return {**told, **{name: exports.rfc3339(row[name]) for name in times}}


def _forget(connection: Connection, whom: Whom) -> None:
    """What names the subject beside its exports: mandates, holds, consents, orders, its part in others' requests."""
    mandate, order, me = models.mandate, models.instruction, f"subject:{whom.id}"
    named = exclusion.of(mandate, whom.kind, whom.id, whom.tenant)
    if whom.kind == SubjectKind.USER:
        connection.execute(delete(mandate).where(or_(named, mandate.c.agent == me)))
        connection.execute(update(EXPORT).where(EXPORT.c.requested_by == me).values(requested_by="subject"))
        connection.execute(update(APPROVAL).where(APPROVAL.c.asked_by == me).values(asked_by="subject"))
    else:
        connection.execute(delete(mandate).where(named))
        about = order.c.contact_id == whom.id if whom.kind == SubjectKind.CONTACT else None
        connection.execute(delete(order).where(order.c.tenant == whom.tenant, *([] if about is None else [about])))
        part, turn = models.slice, models.turn
        if whom.kind == SubjectKind.TENANT:
            waits = select(part.c.tenant).where(part.c.tenant == turn.c.tenant).exists()
            connection.execute(delete(turn).where(turn.c.tenant == whom.tenant, ~waits))
    for table in (models.legal_hold, models.authorisation):
        connection.execute(delete(table).where(exclusion.of(table, whom.kind, whom.id, whom.tenant)))


def _begun() -> ColumnElement[bool]:
    return TABLE.c.state == State.BEGUN
