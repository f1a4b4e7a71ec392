"""The ledger: one line for each dataset. Counted in memory while a volume is open, written in its commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, update

from archive.counts import NUMBERS, DatasetCount, total
from archive.recipients import RecipientTally, together
from portability.api import Gap, RowRemark
from portability.database import models
from portability.errors import LeaseLost
from portability.law.omissions import OmissionReason
from portability.requests import exports
from portability.requests.states import DatasetState
from worker.plan.plan import ExportPlan, PlanLine
from worker.plan.position import Reading
from worker.read.counts import Expected

LEDGER, GAP = models.ledger, models.gap
CHANGING = (
    *("state", "reason", "records", "files", "bytes", "gaps", "corrections", "open_slices"),
    *("reading_began_at", "reading_ended_at", "redactions", "findings", "remarks", "withheld", "recipients"),
)
COUNTED = ("redactions", "findings", "remarks", "withheld")
"""Columns that count by a name."""
TITLE_CHARS = 200
"""Characters of a dataset's title that the ledger shows; the archive has the whole title."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A gap, and the reading that could fill it, if any."""

    gap: Gap
    resume: Reading | None = None


@dataclass(slots=True)
class LedgerTally:
    """What the open volume adds to one ledger line."""

    records: int = 0
    files: int = 0
    bytes: int = 0
    corrections: int = 0
    """Records that were delivered again in place of earlier records; `records` does not count them."""
    gaps: list[Missing] = field(default_factory=list)
    filled: list[int] = field(default_factory=list)
    """Ids of gaps that are closed: what was missing is written, or a new gap replaces them."""
    ended: int = 0
    """Number of readings that have ended."""
    began_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    """Code of the fault that ended it early."""
    stalls: int = 0
    """Number of files that stalled in a row."""
    redactions: Counter[str] = field(default_factory=Counter)
    """Number of replaced values, by rule."""
    findings: Counter[str] = field(default_factory=Counter)
    """Number of values that a rule reports and does not change."""
    remarks: Counter[str] = field(default_factory=Counter)
    """Number of remarkable records, by `RowRemark`."""
    withheld: Counter[str] = field(default_factory=Counter)
    """Number of records with a value that is withheld, by its name; 0 if the source says that no record has it."""
    recipients: RecipientTally = field(default_factory=RecipientTally)
    """The recipients that the records name."""


def open_lines(
    connection: Connection, export_id: str, plan: ExportPlan, expected: Sequence[Expected], readings: Sequence[Reading]
) -> list[dict[str, Any]]:
    """Insert the plan's lines, once, with the number of readings of each; returns them."""
    if rows := new_lines(export_id, plan, expected, readings):
        connection.execute(insert(LEDGER), rows)
    return rows


def new_lines(
    export_id: str, plan: ExportPlan, expected: Sequence[Expected], readings: Sequence[Reading]
) -> list[dict[str, Any]]:
    """Return the lines of a plan before anything was read."""
    open_slices = Counter(reading.ordinal for reading in readings)
    return [
        {
            "export_id": export_id,
            "ordinal": ordinal,
            "exporter": line.exporter,
            "dataset": line.dataset.name,
            "title": line.dataset.title[:TITLE_CHARS],
            "state": line.state,
            "tenants": list(line.tenants) or None,
            "reason": _instruction_missing(line),
            "expected_records": counted.records,
            "expected_bytes": counted.bytes,
            "open_slices": open_slices[ordinal],
            **dict.fromkeys(("records", "files", "bytes", "gaps", "corrections"), 0),
            **dict.fromkeys((*COUNTED, "recipients", "reading_began_at", "reading_ended_at")),
            "remarks": {RowRemark.NO_PERSON: counted.unrelated} if counted.unrelated else None,
        }
        for ordinal, (line, counted) in enumerate(zip(plan.lines, expected, strict=True))
    ]


def merge(rows: Iterable[Mapping[Any, Any]], tallies: Mapping[int, LedgerTally]) -> list[dict[str, Any]]:
    """Return ledger lines with the open volume's tallies, for its commit and for the closing volume."""
    return [_merged({**row}, tallies.get(row["ordinal"], LedgerTally())) for row in rows]


def _merged(line: dict[str, Any], tally: LedgerTally) -> dict[str, Any]:
    line["records"] += tally.records
    line["files"] += tally.files
    line["bytes"] += tally.bytes
    line["corrections"] += tally.corrections
    line["gaps"] += len(tally.gaps) - len(tally.filled)
    for name in COUNTED:
        total = Counter(line[name] or {})
        total.update(getattr(tally, name))
        # Plain texts: a name may be an enumeration, which orjson refuses as a key.
        line[name] = {str.__str__(rule): count for rule, count in sorted(total.items())} or None
    line["recipients"] = together([RecipientTally.from_json(line["recipients"]), tally.recipients]).to_json()
    line["open_slices"] -= tally.ended
    line["reading_began_at"] = line["reading_began_at"] or tally.began_at
    line["reason"] = tally.reason or line["reason"]
    if tally.ended and line["open_slices"] <= 0:
        line["reading_ended_at"] = tally.ended_at
        line["state"] = ending(line)
    return line


def counts(plan: ExportPlan, tallies: Mapping[int, LedgerTally]) -> Sequence[DatasetCount]:
    """Return what a volume adds to the ledger, by dataset, in the order of the ledger."""
    named = ((plan.lines[ordinal], tally) for ordinal, tally in sorted(tallies.items()))
    added = (
        DatasetCount(line.exporter, line.dataset.name, *(getattr(tally, number) for number in NUMBERS))
        for line, tally in named
    )
    return list(total(added).values())


def gap_rows(plan: ExportPlan, tallies: Mapping[int, LedgerTally], volume: int) -> list[dict[str, Any]]:
    """Make the rows of the open volume's gaps, for the table and the closing volume."""
    return [
        {
            "volume": volume,
            "exporter": plan.lines[ordinal].exporter,
            "dataset": plan.lines[ordinal].dataset.name,
            "what": missing.gap.what,
            "reason": missing.gap.reason,
            "retryable": missing.gap.retryable,
            "record": _record_of(missing.gap, plan.lines[ordinal]),
            "fields": list(missing.gap.fields) or None,
            "resume": None if missing.resume is None else missing.resume.to_json(),
        }
        for ordinal, tally in sorted(tallies.items())
        for missing in tally.gaps
    ]


def _record_of(gap: Gap, line: PlanLine) -> dict[str, str | int] | None:
    """Return the key of the record that a gap names, by the names of its fields."""
    # orjson refuses subclasses of str as keys, and columns of a database's own reflection have such names.
    return dict(zip(map(str.__str__, line.dataset.key), gap.key, strict=True)) if gap.key else None


def add(
    connection: Connection,
    export_id: str,
    tallies: Mapping[int, LedgerTally],
    gaps: Sequence[Mapping[str, Any]],
    filled: Sequence[int],
    known: Sequence[Mapping[Any, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Add a volume's tallies and gaps, and delete the gaps that it filled; returns all lines afterwards.

    The caller has locked the export, because slices add to the same lines. `known`: the lines if no other slice does.

    Raises: LeaseLost if a line or a filled gap is not there: the export was continued by others.
    """
    lines = merge(exports.ledger(connection, export_id) if known is None else known, tallies)
    is_same = tallies.keys() <= {line["ordinal"] for line in lines}
    if changed := [line for line in lines if line["ordinal"] in tallies]:
        by_ordinal = update(LEDGER).where(LEDGER.c.export_id == export_id, LEDGER.c.ordinal == bindparam("line"))
        values = [{"line": line["ordinal"], **{name: line[name] for name in CHANGING}} for line in changed]
        is_same = connection.execute(by_ordinal, values).rowcount == len(changed) and is_same
    closing = delete(GAP).where(GAP.c.export_id == export_id, GAP.c.id.in_(filled))
    if not is_same or (filled and connection.execute(closing).rowcount != len(filled)):
        raise LeaseLost(f"export {export_id}: its ledger is not the one that this volume began with")
    if gaps:
        connection.execute(insert(GAP), [{**gap, "export_id": export_id} for gap in gaps])
    return lines


def ending(line: Mapping[str, Any]) -> DatasetState:
    """Return the final state of a ledger line that will be read no further."""
    if line["gaps"]:
        return DatasetState.PARTIAL
    if not line["records"] and not line["files"]:
        return DatasetState.EMPTY
    # A tenant's records need no person: their number is for information.
    is_remarkable = any(name != RowRemark.NO_PERSON for name in line["remarks"] or {})
    return DatasetState.WITH_REMARKS if line["redactions"] or is_remarkable else DatasetState.COMPLETE


def _instruction_missing(line: PlanLine) -> str | None:
    if line.state is not DatasetState.NEEDS_INSTRUCTION:
        return None
    return OmissionReason.NOT_ORDERED
