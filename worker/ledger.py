"""The ledger: one line a dataset. Counted in memory while a volume is open, written in the commit of that volume."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, update

from portability import exports, models
from portability.api import CountingExporter, Exporter, Gap, Selection
from portability.errors import SourceError, SourceRefused
from portability.states import DatasetState
from worker.plan import Line, Plan
from worker.position import Reading

Expected: TypeAlias = tuple[int | None, int | None]
"""(records, bytes) to come; None: unknown."""

LEDGER, GAP = models.ledger, models.gap
CHANGING = (
    *("state", "reason", "records", "files", "bytes", "gaps", "redactions", "findings", "open_slices"),
    *("reading_began_at", "reading_ended_at"),
)


@dataclass(frozen=True, slots=True)
class Missing:
    """A gap, and the reading that would fill it, if any would."""

    gap: Gap
    resume: Reading | None = None


@dataclass(slots=True)
class Tally:
    """What the open volume adds to one ledger line."""

    records: int = 0
    files: int = 0
    bytes: int = 0
    gaps: list[Missing] = field(default_factory=list)
    filled: list[int] = field(default_factory=list)
    """Ids of gaps whose readings have ended: closed."""
    ended: int = 0
    """Readings that have ended."""
    began_at: datetime | None = None
    ended_at: datetime | None = None
    fault: SourceError | None = None
    stalls: int = 0
    """Files that stalled, one after the other."""
    redactions: Counter[str] = field(default_factory=Counter)
    """Values that were replaced, by rule."""
    findings: Counter[str] = field(default_factory=Counter)
    """Values that a rule reports and leaves as they are."""


def open_lines(
    connection: Connection, export_id: str, plan: Plan, expected: Sequence[Expected], readings: Sequence[Reading]
) -> None:
    """Write the plan's lines, once, with how many readings each has."""
    if rows := new_lines(export_id, plan, expected, readings):
        connection.execute(insert(LEDGER), rows)


def new_lines(
    export_id: str, plan: Plan, expected: Sequence[Expected], readings: Sequence[Reading]
) -> list[dict[str, Any]]:
    """The lines of a plan before anything was read."""
    open_slices = Counter(reading.ordinal for reading in readings)
    return [
        {
            "export_id": export_id,
            "ordinal": ordinal,
            "exporter": line.exporter,
            "dataset": line.dataset.name,
            "title": line.dataset.title,
            "state": line.state,
            "tenants": list(line.tenants) or None,
            "reason": _instruction_missing(line),
            "expected_records": records,
            "expected_bytes": size,
            "open_slices": open_slices[ordinal],
            **dict.fromkeys(("records", "files", "bytes", "gaps"), 0),
            **dict.fromkeys(("redactions", "findings", "reading_began_at", "reading_ended_at")),
        }
        for ordinal, (line, (records, size)) in enumerate(zip(plan.lines, expected, strict=True))
    ]


def expect(exporter: Exporter, line: Line, selection: Selection) -> Expected:
    """(records, bytes) to come, None where the exporter cannot or will not count: progress is no reason to fail."""
    if line.state is not DatasetState.PENDING:
        return 0, 0
    if not isinstance(exporter, CountingExporter):
        return None, None
    try:
        size = exporter.count(line.subject, line.dataset, selection)
        return int(size.records), None if size.bytes is None else int(size.bytes)
    except Exception:  # noqa: BLE001  # counting is a courtesy; reading will tell what is wrong
        return None, None


def merge(rows: Iterable[RowMapping | Mapping[str, Any]], tallies: Mapping[int, Tally]) -> list[dict[str, Any]]:
    """The ledger's lines with the open volume's tallies: what its commit writes and what a closing volume says."""
    return [_merged({**row}, tallies.get(row["ordinal"], Tally())) for row in rows]


def _merged(line: dict[str, Any], tally: Tally) -> dict[str, Any]:
    line["records"] += tally.records
    line["files"] += tally.files
    line["bytes"] += tally.bytes
    line["gaps"] += len(tally.gaps) - len(tally.filled)
    for name, counted in (("redactions", tally.redactions), ("findings", tally.findings)):
        line[name] = dict(sorted((Counter(line[name] or {}) + counted).items())) or None
    line["open_slices"] -= tally.ended
    line["reading_began_at"] = line["reading_began_at"] or tally.began_at
    if tally.fault is not None:
        line["reason"] = tally.fault.code
    if tally.ended and line["open_slices"] <= 0:
        line["reading_ended_at"] = tally.ended_at
        line["state"] = ending(line)
    return line


def gap_rows(plan: Plan, tallies: Mapping[int, Tally], volume: int) -> list[dict[str, Any]]:
    """The open volume's gaps, as the table and the closing volume hold them."""
    return [
        {
            "volume": volume,
            "exporter": plan.lines[ordinal].exporter,
            "dataset": plan.lines[ordinal].dataset.name,
            "what": missing.gap.what,
            "reason": missing.gap.reason,
            "retryable": missing.gap.retryable,
            "resume": None if missing.resume is None else missing.resume.freeze(),
        }
        for ordinal, tally in sorted(tallies.items())
        for missing in tally.gaps
    ]


def filled(tallies: Mapping[int, Tally]) -> list[int]:
    """Ids of the gaps that the open volume closes."""
    return [identifier for tally in tallies.values() for identifier in tally.filled]


def commit(
    connection: Connection, export_id: str, plan: Plan, tallies: Mapping[int, Tally], volume: int
) -> list[dict[str, Any]]:
    """Add the tallies to the ledger, in the transaction that stores the volume; returns all lines as they are then.

    The caller holds the export's lock: slices add to the same lines.
    """
    lines = merge(exports.ledger(connection, export_id), tallies)
    if changed := [line for line in lines if line["ordinal"] in tallies]:
        mine = update(LEDGER).where(LEDGER.c.export_id == export_id, LEDGER.c.ordinal == bindparam("line"))
        values = [{"line": line["ordinal"], **{name: line[name] for name in CHANGING}} for line in changed]
        connection.execute(mine, values)
    if closed := filled(tallies):
        connection.execute(delete(GAP).where(GAP.c.export_id == export_id, GAP.c.id.in_(closed)))
    if gaps := gap_rows(plan, tallies, volume):
        connection.execute(insert(GAP), [{**gap, "export_id": export_id} for gap in gaps])
    return lines


def ending(line: Mapping[str, Any]) -> DatasetState:
    """The last state of a ledger line that will not be read any further; `reason` is what ended it early."""
    has_content = line["records"] or line["files"]
    if line["reason"] == SourceRefused.code and not has_content:
        return DatasetState.REFUSED
    if line["gaps"]:
        return DatasetState.PARTIAL
    if line["redactions"]:
        return DatasetState.REDACTED
    return DatasetState.COMPLETE if has_content else DatasetState.EMPTY


def _instruction_missing(line: Line) -> str | None:
    if line.state is not DatasetState.NEEDS_INSTRUCTION:
        return None
    return "held for a tenant that has not ordered its export: ask the tenant"
