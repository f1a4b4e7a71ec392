"""Exports: read one by id, list them, cancel one; the JSON form that CLI and API share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, RowMapping, and_, cast, func, or_, select, update

from portability.api import JSON
from portability.api.times import rfc3339
from portability.database import deployment, models
from portability.database.engine import now
from portability.errors import AddressOfAccount, UnknownExport, WrongState
from portability.law import deadlines
from portability.law.deadlines import Alarm
from portability.law.omissions import explanation
from portability.people import subject_locks
from portability.requests import earlier_revisions, reversions, slices
from portability.requests.planned_maps import PlannedMaps
from portability.requests.states import (
    CANCELLABLE,
    ONGOING,
    REFERRED,
    UNANSWERED,
    UNBEGUN,
    DatasetState,
    ExportState,
    SliceState,
    VolumeState,
)
from portability.requests.transition import transition
from portability.trust import audit

EXPORT, VOLUME, LEDGER, GAP = models.export, models.volume, models.ledger, models.gap
APPROVAL = models.approval


def get(connection: Connection, identifier: str) -> RowMapping:
    """Return the export's row. Raises UnknownExport."""
    row = connection.execute(select(EXPORT).where(EXPORT.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise UnknownExport(f"no export has the id {identifier!r}")
    return row


def recent(
    connection: Connection, *, state: str | None = None, is_unanswered: bool = False, limit: int = 100
) -> Sequence[RowMapping]:
    """Return the newest exports first, with the current number of records as `records`.

    Only those without an answer (is_unanswered): the earliest due date first.
    """
    # PostgreSQL sums bigint to numeric: back to an integer.
    total = cast(func.coalesce(func.sum(LEDGER.c.records), 0), BigInteger)
    counted = select(total).where(LEDGER.c.export_id == EXPORT.c.id)
    query = select(EXPORT, counted.scalar_subquery().label("records"))
    if is_unanswered:
        query = query.where(unanswered()).order_by(EXPORT.c.due_at, EXPORT.c.id)
    else:
        query = query.order_by(EXPORT.c.created_at.desc(), EXPORT.c.id)
    if state is not None:
        query = query.where(EXPORT.c.state == state)
    return connection.execute(query.limit(limit)).mappings().all()


def stored_volumes(connection: Connection, identifier: str) -> Sequence[RowMapping]:
    """Return the volumes that storage has confirmed, in order."""
    query = select(VOLUME).where(VOLUME.c.export_id == identifier, VOLUME.c.state == VolumeState.STORED)
    return connection.execute(query.order_by(VOLUME.c.number)).mappings().all()


def archive_volumes(connection: Connection, export: Mapping[Any, Any]) -> Sequence[RowMapping]:
    """Return the volumes that can be downloaded, in order: of the archive that is ready.

    While its next revision is made, they are those of the revision before.
    """
    archive = earlier_revisions.archive(connection, export)
    if not archive:
        return ()
    stored = stored_volumes(connection, export["id"])
    return [volume for volume in stored if volume["revision"] <= archive["revision"]]


@dataclass(frozen=True, slots=True)
class BegunExport:
    """What a worker reads of an export before it writes a volume."""

    open_slices: int
    """How many slices besides slice 0 are not read yet."""
    maps: PlannedMaps | None
    """The maps with which it was planned."""
    reviewed: int
    """The number of the last decision on a review that it was planned with."""
    stored: Sequence[RowMapping]
    """The volumes that storage has confirmed, in order."""
    writing: Sequence[RowMapping]
    """The volumes that are not stored yet, in order."""
    lines: Sequence[Mapping[Any, Any]] | None = None
    """The lines of its ledger if it was planned just now for one slice; None: they are read when they are needed."""


def begun(connection: Connection, identifier: str) -> BegunExport:
    """Return an export with its volumes, by one statement. Raises UnknownExport."""
    of_export = EXPORT.outerjoin(VOLUME, VOLUME.c.export_id == EXPORT.c.id)
    query = select(VOLUME, EXPORT.c.open_slices, EXPORT.c.maps, EXPORT.c.reviewed).select_from(of_export)
    rows = connection.execute(query.where(EXPORT.c.id == identifier).order_by(VOLUME.c.number)).mappings().all()
    if not rows:
        raise UnknownExport(f"no export has the id {identifier!r}")
    of_state = {state: [row for row in rows if row["state"] == state] for state in VolumeState}
    first, stored, writing = rows[0], of_state[VolumeState.STORED], of_state[VolumeState.WRITING]
    return BegunExport(first["open_slices"], first["maps"], first["reviewed"], stored, writing)


def ledger(connection: Connection, identifier: str) -> Sequence[RowMapping]:
    """Return one row for each dataset, in the order of reading; empty until a worker has planned."""
    query = select(LEDGER).where(LEDGER.c.export_id == identifier).order_by(LEDGER.c.ordinal)
    return connection.execute(query).mappings().all()


def gaps(connection: Connection, identifier: str) -> Sequence[RowMapping]:
    """Return everything that is missing in the archive."""
    query = select(GAP).where(GAP.c.export_id == identifier).order_by(GAP.c.id)
    return connection.execute(query).mappings().all()


def view(connection: Connection, identifier: str) -> dict[str, JSON]:
    """Return the export as JSON, for `--json` and the API: no subject id, no identities. Raises UnknownExport."""
    row = get(connection, identifier)
    lines = ledger(connection, identifier)
    return {
        "id": row["id"],
        "state": row["state"],
        "complete": row["complete"],
        "outcome": outcome(row),
        "profile": row["profile"],
        "subject": row["subject_ref"],
        "subject_kind": row["subject_kind"],
        "received_at": rfc3339(row["received_at"]),
        "due_at": rfc3339(row["due_at"]),
        "due_by": due_by(row),
        "residence": row["residence"],
        "notice_ends_at": rfc3339(row["notice_ends_at"]),
        "retrieval_ends_at": rfc3339(row["retrieval_ends_at"]),
        "alarm": alarm(row, deployment.clock_of(connection)),
        "review": review(connection, row),
        "began_at": rfc3339(row["began_at"]),
        "ended_at": rfc3339(row["ended_at"]),
        "revision": row["revision"],
        "failed_revision": reversions.view(connection, row),
        "cancel_requested": row["cancel_requested_at"] is not None,
        "progress": progress(lines, slices.of(connection, identifier)),
        "datasets": [_dataset(line) for line in lines],
        "volumes": [
            {"number": v["number"], "name": f"{v['name']}.zip", "bytes": v["bytes"], "sha256": v["sha256"]}
            for v in stored_volumes(connection, identifier)
        ],
        "erased_at": rfc3339(row["erased_at"]),
        "attestations": attestations(connection, identifier),
        "error": None if row["error_code"] is None else {"code": row["error_code"], "message": row["error_message"]},
    }


def outcome(row: Mapping[Any, Any]) -> dict[str, JSON] | None:
    """Return both parts of the outcome as JSON; None while the export is open, and for an export before version 0.2."""
    return {"own": row["outcome_own"], "processor": row["outcome_processor"]} if row["outcome_own"] else None


def due_by(row: Mapping[Any, Any]) -> dict[str, JSON] | None:
    """Return which regime set the due date, and whether its figure is the law's; None for an export of version 0.1."""
    return {"regime": row["due_regime"], "figure": row["due_figure"]} if row["due_regime"] else None


def review(connection: Connection, row: Mapping[Any, Any]) -> list[str]:
    """Return why a second person must approve the export before it begins; empty if no approval is needed."""
    if row["state"] != ExportState.REVIEW:
        return []
    matching = (APPROVAL.c.export_id == row["id"], APPROVAL.c.state == "open")
    causes = connection.scalars(select(APPROVAL.c.cause).where(*matching).order_by(APPROVAL.c.asked_at, APPROVAL.c.id))
    return [*dict.fromkeys(causes)]


def attestations(connection: Connection, identifier: str) -> list[JSON]:
    """Return the signed statements of what was deleted of the archive, oldest first (docs/retention.md)."""
    table = models.attestation
    query = select(table).where(table.c.export_id == identifier).order_by(table.c.created_at, table.c.id)
    return [
        {"id": row["id"], "issued_at": rfc3339(row["created_at"]), "token": row["token"]}
        for row in connection.execute(query).mappings()
    ]


def progress(lines: Sequence[RowMapping], parts: Sequence[RowMapping]) -> dict[str, int | None]:
    """Return the progress of the export, with open volumes; `..._expected` is null if an exporter cannot count."""
    open_volumes = [part["progress"] or {} for part in parts]
    done = {
        name: sum(line[name] for line in lines) + sum(volume.get(name, 0) for volume in open_volumes)
        for name in ("records", "files", "bytes")
    }
    read = sum(line["state"] != DatasetState.PENDING for line in lines)
    reading = sum(volume.get("datasets", 0) for volume in open_volumes)
    return {
        "datasets": min(read + reading, len(lines)),
        "datasets_expected": len(lines),
        **done,
        "records_expected": _total(line["expected_records"] for line in lines),
        "bytes_expected": _total(line["expected_bytes"] for line in lines),
        "slices": sum(part["state"] == SliceState.DONE for part in parts),
        "slices_expected": len(parts),
    }


def _total(counts: Iterable[int | None]) -> int | None:
    known = list(counts)
    return None if None in known or not known else sum(count for count in known if count is not None)


def alarm(row: Mapping[Any, Any], at: datetime) -> Alarm:
    """Return how close an unanswered request is to its deadline, at a time of the control database."""
    if not is_unanswered(row):
        return Alarm.NONE
    notice_ends_at = row["notice_ends_at"]
    # A law without notice may end before: then its time, which began with the receipt, is the one that counts.
    is_counted = notice_ends_at is not None and notice_ends_at < row["due_at"]
    begins_at = notice_ends_at if is_counted else row["received_at"]
    return deadlines.alarm(begins_at, row["due_at"], at)


def is_unanswered(row: Mapping[Any, Any]) -> bool:
    """Return whether the request has no answer yet, and its subject was not erased meanwhile: its due date counts.

    A person who was informed to log in to an account has an answer, and so has one whose archive gets a new revision.
    """
    is_told = row["state"] == ExportState.FAILED and row["error_code"] == AddressOfAccount.code
    return row["state"] in UNANSWERED and not (row["erased_at"] or is_told or is_revised(row))


def unanswered() -> ColumnElement[bool]:
    """Return the same as a condition."""
    waits = or_(EXPORT.c.state != ExportState.FAILED, EXPORT.c.error_code.is_distinct_from(AddressOfAccount.code))
    return and_(EXPORT.c.state.in_(UNANSWERED), EXPORT.c.erased_at.is_(None), waits, ~earlier_revisions.next_is_made())


def lock(connection: Connection, identifier: str) -> RowMapping:
    """Return the export's row, locked until the transaction ends. Raises UnknownExport."""
    query = select(EXPORT).where(EXPORT.c.id == identifier).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownExport(f"no export has the id {identifier!r}")
    return row


def lock_unerased(connection: Connection, identifier: str) -> RowMapping:
    """Return the same for an act on a request: of an erased one only an anonymous line of the log is left.

    Raises: UnknownExport; WrongState if its subject was erased; ErasureRunning.
    """
    row = lock(connection, identifier)
    _check_unerased(row)
    subject_locks.check_not_erasing(connection, *subject_locks.name_of_row(row))
    return row


def _check_unerased(row: RowMapping) -> None:
    if row["erased_at"]:
        raise WrongState(f"the subject of export {row['id']} was erased", hint="the request log has what is left of it")


def is_revised(row: Mapping[Any, Any]) -> bool:
    """Return whether an archive was ready, and its next revision is being made: `revision` counts up as it begins."""
    return row["revision"] > 1 and row["state"] in ONGOING


def is_cancellable(row: Mapping[Any, Any]) -> bool:
    """Return whether a request can be cancelled; if its archive was ready, only the revision that is being made."""
    return row["state"] in CANCELLABLE and not row["erased_at"]


def cancel(connection: Connection, identifier: str, *, actor: str, with_archive: bool = False) -> ExportState:
    """Cancel an export that is open or failed; a running one ends at its workers' next checkpoint.

    A second call is not an error. A failed request is cancelled when the person no longer wants its answer.

    Its objects are deleted. An archive that was ready has answered the request, and stays until its end: while its next
    revision is made, only that ends, and the export is ready again. `with_archive`: of an erasure, which ends both.

    Raises: UnknownExport; WrongState if it is ready, or has ended in another way, or its subject was erased, or if an
    earlier release began the revision: then there is nothing to go back to.
    """
    row = lock(connection, identifier)
    _check_unerased(row)
    state = ExportState(row["state"])
    if state is ExportState.CANCELLED:
        return state
    if is_revised(row) and not with_archive:
        if reversions.revert(connection, row, code=reversions.CANCELLED, actor=actor):
            return ExportState.READY
        raise WrongState(
            f"export {identifier} was ready, and revision {row['revision']} is being made",
            hint="wait until the revision is ready: the archive stays as it was announced",
        )
    if state not in CANCELLABLE:
        raise WrongState(
            f"export {identifier} is already {state}", hint="only an export that is open or failed can be cancelled"
        )
    matching = update(EXPORT).where(EXPORT.c.id == identifier, EXPORT.c.cancel_requested_at.is_(None))
    connection.execute(matching.values(cancel_requested_at=now()))
    audit.record(connection, "export.cancel_requested", actor=actor, export_id=identifier)
    if state not in UNBEGUN and state is not ExportState.FAILED:
        return state
    transition(connection, row, ExportState.CANCELLED, actor=actor)
    return ExportState.CANCELLED


def _dataset(line: RowMapping) -> Mapping[str, JSON]:
    dataset: dict[str, JSON] = {
        name: line[name] for name in ("exporter", "dataset", "state", "records", "files", "gaps")
    }
    if line["reason"] is not None:
        dataset |= {"reason": line["reason"], "explanation": explanation(line["reason"])}
    if line["tenants"] and line["state"] in REFERRED:
        dataset["tenants"] = line["tenants"]
    for name in ("redactions", "findings"):
        if line[name]:
            dataset[name] = line[name]
    return dataset
