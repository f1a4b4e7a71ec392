"""The ledger: one line a dataset. Counted in memory while a volume is open, written in the commit of that volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, update

from portability import models
from portability.api import CountingExporter, Exporter, Gap, Selection
from portability.errors import SourceError, SourceRefused
from portability.states import DatasetState
from worker.checkpoint import Claim
from worker.plan import Line, Plan

LEDGER, GAP = models.ledger, models.gap
CHANGING = ("state", "reason", "records", "files", "bytes", "gaps", "reading_began_at", "reading_ended_at")


@dataclass(slots=True)
class Tally:
    """What the open volume adds to one ledger line."""

    records: int = 0
    files: int = 0
    bytes: int = 0
    gaps: list[Gap] = field(default_factory=list)
    began_at: datetime | None = None
    ended_at: datetime | None = None
    fault: SourceError | None = None


def open_lines(connection: Connection, held: Claim, plan: Plan, expected: list[tuple[int | None, int | None]]) -> None:
    """Write the plan's lines, once, at the export's first claim."""
    rows = [
        {
            "export_id": held.id,
            "ordinal": ordinal,
            "exporter": line.exporter,
            "dataset": line.dataset.name,
            "title": line.dataset.title,
            "state": line.state,
            "tenants": list(line.tenants) or None,
            "reason": _instruction_missing(line),
            "expected_records": records,
            "expected_bytes": size,
            **dict.fromkeys(("records", "files", "bytes", "gaps"), 0),
        }
        for ordinal, (line, (records, size)) in enumerate(zip(plan.lines, expected, strict=True))
    ]
    if rows:
        connection.execute(insert(LEDGER), rows)


def expect(exporter: Exporter, line: Line, selection: Selection) -> tuple[int | None, int | None]:
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


def merge(rows: Sequence[RowMapping], tallies: Mapping[int, Tally]) -> list[dict[str, Any]]:
    """The ledger's lines with the open volume's tallies: what its commit writes and what a closing volume says."""
    return [_merged(dict(row), tallies.get(row["ordinal"], Tally())) for row in rows]


def _merged(line: dict[str, Any], tally: Tally) -> dict[str, Any]:
    line["records"] += tally.records
    line["files"] += tally.files
    line["bytes"] += tally.bytes
    line["gaps"] += len(tally.gaps)
    line["reading_began_at"] = tally.began_at or line["reading_began_at"]
    if tally.ended_at is not None:
        line["reading_ended_at"] = tally.ended_at
        line["state"] = ending(line["records"], line["files"], line["gaps"], tally.fault)
        line["reason"] = None if tally.fault is None else tally.fault.code
    return line


def gap_rows(plan: Plan, tallies: Mapping[int, Tally], volume: int) -> list[dict[str, Any]]:
    """The open volume's gaps, as the table and the closing volume hold them."""
    return [
        {
            "volume": volume,
            "exporter": plan.lines[ordinal].exporter,
            "dataset": plan.lines[ordinal].dataset.name,
            "what": gap.what,
            "reason": gap.reason,
            "retryable": gap.retryable,
        }
        for ordinal, tally in sorted(tallies.items())
        for gap in tally.gaps
    ]


def commit(
    connection: Connection, held: Claim, lines: Sequence[Mapping[str, Any]], gaps: Sequence[Mapping[str, Any]]
) -> None:
    """Write the merged lines and the new gaps, in the transaction that stores the volume."""
    for line in lines:
        mine = update(LEDGER).where(LEDGER.c.export_id == held.id, LEDGER.c.ordinal == line["ordinal"])
        connection.execute(mine.values({name: line[name] for name in CHANGING}))
    if gaps:
        connection.execute(insert(GAP), [{**gap, "export_id": held.id} for gap in gaps])


def ending(records: int, files: int, gaps: int, fault: SourceError | None) -> DatasetState:
    """The last state of a dataset that will not be read any further."""
    if isinstance(fault, SourceRefused) and not records and not files:
        return DatasetState.REFUSED
    if gaps:
        return DatasetState.PARTIAL
    return DatasetState.COMPLETE if records or files else DatasetState.EMPTY


def _instruction_missing(line: Line) -> str | None:
    if line.state is not DatasetState.NEEDS_INSTRUCTION:
        return None
    return "held for a tenant that has not ordered its export: ask the tenant"
