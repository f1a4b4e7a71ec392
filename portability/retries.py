"""Retries: a failed export from its beginning, or what is missing in a ready one, as the archive's next revision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, delete, func, select, update

from portability import audit, exclusion, exports, models, slices
from portability.errors import WrongState
from portability.states import DatasetState, ExportState

EXPORT, VOLUME, LEDGER, GAP = models.export, models.volume, models.ledger, models.gap


def retry(connection: Connection, identifier: str, *, actor: str) -> None:
    """Let a failed export begin anew: the same request, the same due date.

    Raises: UnknownExport; WrongState for one that has not failed; ErasureRunning.
    """
    row = _locked(connection, identifier)
    if row["state"] != ExportState.FAILED:
        hint = "what is missing in a ready one: --gaps" if row["state"] == ExportState.READY else None
        raise WrongState(f"export {identifier} is {row['state']}, not failed", hint=hint)
    for table in (LEDGER, GAP):
        connection.execute(delete(table).where(table.c.export_id == identifier))
    # What could not be deleted when it failed is taken up by the first claim, and its numbers with it.
    mine = VOLUME.c.export_id == identifier
    connection.execute(update(VOLUME).where(mine).values(state="writing", slice=0, fence=0))
    last = connection.scalar(select(func.max(VOLUME.c.number)).where(mine)) or 0
    slices.reopen_first(connection, identifier, None)
    fresh = {"complete": None, "began_at": None, "volume_counter": last, "revision": 1, "open_slices": 0}
    _reopen(connection, identifier, ExportState.QUEUED, **fresh)
    audit.record(connection, "export.retried", actor=actor, export_id=identifier)


def retry_gaps(connection: Connection, identifier: str, *, actor: str) -> int:
    """Let a ready export fetch what is missing; returns how many gaps are looked into.

    New volumes and a new closing volume are added, as the next revision; until then nothing of it is delivered.

    Raises: UnknownExport; WrongState for one that is not ready, or has no gap that reading again could fill;
    ErasureRunning.
    """
    row = _locked(connection, identifier)
    if row["state"] != ExportState.READY:
        raise WrongState(f"export {identifier} is {row['state']}, not ready")
    found = [gap for gap in exports.gaps(connection, identifier) if gap["resume"] is not None]
    if not found:
        raise WrongState(f"export {identifier} has no gap that reading again could fill")
    revision = row["revision"] + 1
    readings = _readings(found, revision)
    for ordinal in {reading["ordinal"] for reading in readings}:
        again = sum(reading["ordinal"] == ordinal for reading in readings)
        line = update(LEDGER).where(LEDGER.c.export_id == identifier, LEDGER.c.ordinal == ordinal)
        connection.execute(line.values(open_slices=again, state=DatasetState.PENDING, reason=None))
    slices.reopen_first(connection, identifier, readings)
    _reopen(connection, identifier, ExportState.RUNNING, complete=None, revision=revision)
    detail = {"gaps": len(found), "revision": revision}
    audit.record(connection, "export.gaps_retried", actor=actor, export_id=identifier, detail=detail)
    return len(found)


def _locked(connection: Connection, identifier: str) -> RowMapping:
    """The export's row; of a subject that is erased, or is being erased, nothing is made again."""
    row = exports.lock(connection, identifier)
    if row["erased_at"] is not None:
        raise WrongState(f"the subject of export {identifier} was erased")
    exclusion.check_not_erasing(connection, row["subject_kind"], row["subject_id"], row["tenant"])
    return row


def _reopen(connection: Connection, identifier: str, state: ExportState, **values: object) -> None:
    blank = {"error_code": None, "error_message": None, "ended_at": None, "cancel_requested_at": None}
    connection.execute(update(EXPORT).where(EXPORT.c.id == identifier).values(state=state, **blank, **values))


def _readings(gaps: Iterable[RowMapping], revision: int) -> Sequence[dict[str, Any]]:
    """One frozen reading for all gaps of one place: records from a cursor on, or the missing files of one batch."""
    places: dict[bytes, dict[str, Any]] = {}
    for gap in gaps:
        resume = dict(gap["resume"])
        missed = resume.pop("missed", None)
        place = {name: resume.get(name) for name in ("ordinal", "slice", "after", "files")}
        merged = places.setdefault(
            orjson.dumps([place, missed is None], option=orjson.OPT_SORT_KEYS), {**resume, "gaps": []}
        )
        merged["gaps"].append(gap["id"])
        if missed is not None:
            known = merged.setdefault("missed", {"only": [], "but": None})
            known["only"] += missed["only"]
            known["but"] = missed["but"] if known["but"] is None else known["but"]
    ordered = sorted(places.values(), key=lambda reading: int(reading["ordinal"]))
    return [{**reading, "label": f"r{revision}-{number:02}"} for number, reading in enumerate(ordered, 1)]
