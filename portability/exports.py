"""Exports as others see them: one by id, all of them, cancelling one; the JSON that CLI and API share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, RowMapping, cast, func, select, update

from portability import audit, deadlines, models, slices
from portability.api import JSON
from portability.db import now
from portability.deadlines import Alarm
from portability.errors import UnknownExport, WrongState
from portability.states import UNDECIDED, DatasetState, ExportState, SliceState

EXPORT, VOLUME, LEDGER, GAP = models.export, models.volume, models.ledger, models.gap
APPROVAL = models.approval


def get(connection: Connection, identifier: str) -> RowMapping:
    """The export's row. Raises UnknownExport."""
    row = connection.execute(select(EXPORT).where(EXPORT.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise UnknownExport(f"no export has the id {identifier!r}")
    return row


def recent(connection: Connection, *, state: str | None = None, limit: int = 100) -> Sequence[RowMapping]:
    """The newest exports first, with the number of records so far as `records`."""
    # PostgreSQL sums bigint to numeric: back to an integer.
    total = cast(func.coalesce(func.sum(LEDGER.c.records), 0), BigInteger)
    counted = select(total).where(LEDGER.c.export_id == EXPORT.c.id)
    query = select(EXPORT, counted.scalar_subquery().label("records"))
    query = query.order_by(EXPORT.c.created_at.desc(), EXPORT.c.id).limit(limit)
    if state is not None:
        query = query.where(EXPORT.c.state == state)
    return connection.execute(query).mappings().all()


def stored_volumes(connection: Connection, identifier: str) -> Sequence[RowMapping]:
    """Volumes that storage has confirmed, in order."""
    query = select(VOLUME).where(VOLUME.c.export_id == identifier, VOLUME.c.state == "stored")
    return connection.execute(query.order_by(VOLUME.c.number)).mappings().all()


def ledger(connection: Connection, identifier: str) -> Sequence[RowMapping]:
    """One line a dataset, in the order of reading; empty until a worker has planned."""
    query = select(LEDGER).where(LEDGER.c.export_id == identifier).order_by(LEDGER.c.ordinal)
    return connection.execute(query).mappings().all()


def gaps(connection: Connection, identifier: str) -> Sequence[RowMapping]:
    """Everything that should be in the archive and is not."""
    query = select(GAP).where(GAP.c.export_id == identifier).order_by(GAP.c.id)
    return connection.execute(query).mappings().all()


def view(connection: Connection, identifier: str) -> dict[str, JSON]:
    """The export as JSON, for `--json` and the API: no subject id, no identities. Raises UnknownExport."""
    row = get(connection, identifier)
    lines = ledger(connection, identifier)
    return {
        "id": row["id"],
        "state": row["state"],
        "complete": row["complete"],
        "profile": row["profile"],
        "subject": row["subject_ref"],
        "subject_kind": row["subject_kind"],
        "received_at": rfc3339(row["received_at"]),
        "due_at": rfc3339(row["due_at"]),
        "notice_ends_at": rfc3339(row["notice_ends_at"]),
        "alarm": alarm(row),
        "review": review(connection, row),
        "began_at": rfc3339(row["began_at"]),
        "ended_at": rfc3339(row["ended_at"]),
        "revision": row["revision"],
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


def review(connection: Connection, row: Mapping[Any, Any]) -> list[str]:
    """Why a second person must look at it before it begins; empty where none has to."""
    if row["state"] != ExportState.REVIEW:
        return []
    mine = (APPROVAL.c.export_id == row["id"], APPROVAL.c.state == "open")
    return [*connection.scalars(select(APPROVAL.c.cause).where(*mine).order_by(APPROVAL.c.asked_at, APPROVAL.c.id))]


def attestations(connection: Connection, identifier: str) -> list[JSON]:
    """Signed statements about what was deleted of its archive, oldest first (docs/retention.md)."""
    table = models.attestation
    query = select(table).where(table.c.export_id == identifier).order_by(table.c.created_at, table.c.id)
    return [
        {"id": row["id"], "issued_at": rfc3339(row["created_at"]), "token": row["token"]}
        for row in connection.execute(query).mappings()
    ]


def progress(lines: Sequence[RowMapping], parts: Sequence[RowMapping]) -> dict[str, int | None]:
    """How far the export is, its open volumes included; `..._expected` is null where an exporter cannot count."""
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


def alarm(row: Mapping[Any, Any], at: datetime | None = None) -> Alarm:
    """How far a request without an answer has come on its way to the deadline."""
    if row["state"] not in UNDECIDED:
        return Alarm.NONE
    return deadlines.alarm(row["notice_ends_at"] or row["received_at"], row["due_at"], at or datetime.now(UTC))


def lock(connection: Connection, identifier: str) -> RowMapping:
    """The export's row, locked until the transaction ends. Raises UnknownExport."""
    query = select(EXPORT).where(EXPORT.c.id == identifier).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownExport(f"no export has the id {identifier!r}")
    return row


def cancel(connection: Connection, identifier: str, *, actor: str) -> ExportState:
    """Cancel an open export; a running one ends at its workers' next checkpoint. Twice is no error.

    Raises: UnknownExport; WrongState for one that is ready or failed.
    """
    row = lock(connection, identifier)
    state = ExportState(row["state"])
    if state is ExportState.CANCELLED:
        return state
    if state not in UNDECIDED:
        raise WrongState(f"export {identifier} is {state} already", hint="only an open export can be cancelled")
    mine = update(EXPORT).where(EXPORT.c.id == identifier)
    if state in {ExportState.QUEUED, ExportState.REVIEW}:
        ended = {"state": ExportState.CANCELLED, "cancel_requested_at": now(), "ended_at": now()}
        connection.execute(mine.values(**ended))
        slices.end_all(connection, identifier)
        audit.record(connection, "export.cancel_requested", actor=actor, export_id=identifier)
        audit.record(connection, "export.cancelled", actor=actor, export_id=identifier)
        return ExportState.CANCELLED
    connection.execute(mine.where(EXPORT.c.cancel_requested_at.is_(None)).values(cancel_requested_at=now()))
    audit.record(connection, "export.cancel_requested", actor=actor, export_id=identifier)
    return state


def rfc3339(moment: datetime | None) -> str | None:
    """UTC with `Z`; None stays None."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _dataset(line: RowMapping) -> Mapping[str, JSON]:
    dataset: dict[str, JSON] = {
        name: line[name] for name in ("exporter", "dataset", "state", "records", "files", "gaps")
    }
    if line["reason"] is not None:
        dataset["reason"] = line["reason"]
    for name in ("tenants", "redactions", "findings"):
        if line[name]:
            dataset[name] = line[name]
    return dataset
