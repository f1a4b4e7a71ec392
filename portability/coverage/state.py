"""State of coverage: the last check of each source, as a row of the control database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    delete,
    false,
    func,
    or_,
    select,
    update,
)

from portability.api import JSON, Coverage, CoverageFinding, CoverageKind
from portability.api.errors import SourceDamaged
from portability.coverage.checks import CheckedSource
from portability.database import deployment, models
from portability.database.engine import now
from portability.database.rows import insert_row, inserting
from portability.errors import UnknownExporter
from portability.trust import audit

CHECK, GAP, EXPORT = models.source_check, models.gap, models.export
RECENT_SECONDS = 30 * 86_400.0
SHOWN_GAPS = 20
READ_GAPS = 5_000
"""How many of a source's gaps are counted: the page costs the same however many exports have had gaps."""
EVERY_SECONDS = 86_400.0
"""How often each source is checked: a new column is known within a day."""
RETRY_SECONDS = 3_600.0
"""After a check that did not end."""
VALID_SECONDS = 2 * EVERY_SECONDS
"""How long a check counts for exports: a clock that rests for a day changes nothing."""
NEVER = false()
SHOWN_FINDINGS = 10_000
"""Findings that a row keeps; its counts are of all."""


class CoverageState(StrEnum):
    """What the last check says about a source."""

    COMPLETE = "complete"
    """The declaration decides on everything that the source stores."""
    UNDECIDED = "undecided"
    UNKNOWN = "coverage_unknown"
    """The source cannot list what it stores, or has not been checked yet."""


def state_after(coverage: Coverage) -> CoverageState:
    """Return the state that a check gives its source."""
    return _state(coverage.undecided, is_described=coverage.is_described)


def state_of(row: RowMapping | None) -> CoverageState:
    """Return the state of a row; None: the source has no row yet."""
    if row is None or row["checked_at"] is None:
        return CoverageState.UNKNOWN
    return _state(row["undecided"], is_described=row["described"])


def _state(undecided: int, *, is_described: bool) -> CoverageState:
    if undecided:
        return CoverageState.UNDECIDED
    return CoverageState.COMPLETE if is_described else CoverageState.UNKNOWN


def rows(connection: Connection) -> Sequence[RowMapping]:
    """Return the rows of all sources by name."""
    return connection.execute(select(CHECK).order_by(CHECK.c.source)).mappings().all()


def find(connection: Connection, source: str) -> RowMapping | None:
    """Return the row of a source; None if it has no row yet."""
    return connection.execute(select(CHECK).where(CHECK.c.source == source)).mappings().one_or_none()


def is_valid(connection: Connection, row: RowMapping | None, declaration: str) -> bool:
    """Return whether the last check is young enough, and of this declaration (its SHA-256).

    A check that could not be made changes nothing, unless the reason is damage: then rows may be missing by now. The
    age of a check that was made before the clock was set back is not known.
    """
    if row is None or row["checked_at"] is None or row["declaration"] != declaration:
        return False
    if row["error_code"] == SourceDamaged.code:
        return False
    age: timedelta = deployment.clock_of(connection) - row["checked_at"]
    return 0 <= age.total_seconds() < VALID_SECONDS


def findings(row: RowMapping) -> Sequence[CoverageFinding]:
    """Return what the last check found."""
    return [CoverageFinding(**{**one, "kind": CoverageKind(one["kind"])}) for one in row["findings"] or ()]


def tenantless(row: RowMapping) -> int:
    """Return in how many tenant columns there are rows without a tenant; `undecided` of the check counts these, too."""
    return sum(one.columns for one in findings(row) if one.kind is CoverageKind.TENANTLESS)


def recent_gaps(connection: Connection, source: str) -> Sequence[RowMapping]:
    """Return the faults in exports of the last days, by dataset and reason, the newest first.

    They are counted among the READ_GAPS newest of the source; at most one more than SHOWN_GAPS is returned.
    """
    last_at = func.max(EXPORT.c.began_at).label("last_at")
    counted = func.count(EXPORT.c.id.distinct()).label("exports")
    of_source = select(GAP.c.dataset, GAP.c.reason, GAP.c.export_id).where(GAP.c.exporter == source)
    newest = of_source.order_by(GAP.c.id.desc()).limit(READ_GAPS).subquery()
    query = (
        select(newest.c.dataset, newest.c.reason, counted, last_at)
        .join(EXPORT, EXPORT.c.id == newest.c.export_id)
        .where(EXPORT.c.began_at >= now(-RECENT_SECONDS))
        .group_by(newest.c.dataset, newest.c.reason)
        .order_by(last_at.desc(), newest.c.dataset, newest.c.reason)
    )
    return connection.execute(query.limit(SHOWN_GAPS + 1)).mappings().all()


def published(connection: Connection, sources: Iterable[str]) -> list[JSON]:
    """Return what the register publishes: the state of each source, and its number of undecided columns."""
    known = {row["source"]: row for row in rows(connection)}
    return [
        {
            "source": source,
            "state": state_of(known.get(source)),
            "undecided": (known[source]["undecided"] or 0) if source in known else 0,
        }
        for source in sources
    ]


def keep_only(connection: Connection, sources: Collection[str]) -> None:
    """Give each source a row, and forget sources that the deployment no longer has."""
    connection.execute(delete(CHECK).where(CHECK.c.source.not_in(sources)))
    for source in sources:
        _write(connection, source, {})


def claim(connection: Connection, sources: Collection[str]) -> Sequence[str]:
    """Return the sources whose check is due; of all clocks that ask, only one gets each."""
    due = or_(
        CHECK.c.tried_at.is_(None),
        CHECK.c.tried_at < now(-EVERY_SECONDS),
        # The error of a check, or no end of it: its process may have died.
        or_(CHECK.c.error_code.is_not(None), CHECK.c.checked_at.is_(None), CHECK.c.checked_at < CHECK.c.tried_at)
        & (CHECK.c.tried_at < now(-RETRY_SECONDS)),
        CHECK.c.asked_at.is_not(None),
        CHECK.c.tried_at > now(),  # before the clock was set back: it would wait until then
    )
    claimed = []
    for source in sorted(sources):
        taken = update(CHECK).where(CHECK.c.source == source, due).values(tried_at=now(), asked_at=None)
        if connection.execute(taken).rowcount:
            claimed.append(source)
    return claimed


def record(connection: Connection, source: str, checked: CheckedSource, at: datetime) -> None:
    """Store the result of a check that began at a time of the database, unless that of a later check is known.

    A process may be stopped during its check, and the source may change meanwhile.
    """
    coverage, before = checked.coverage, find(connection, source)
    since: Any = None
    if coverage.undecided:
        since = (before and before["undecided_since"]) or at
    values = {
        "declaration": checked.declaration.sha256,
        "described": coverage.is_described,
        "undecided": coverage.undecided,
        "faults": coverage.faults,
        "findings": [asdict(one) for one in coverage.findings[:SHOWN_FINDINGS]],
        "undecided_since": since,
        "checked_at": at,
        "tried_at": at,
        "error_code": None,
    }
    # A check of the future was before the clock of the database was set back.
    was_checked, was_tried = ((column > at) & (column <= now()) for column in (CHECK.c.checked_at, CHECK.c.tried_at))
    is_newer = or_(was_checked, and_(CHECK.c.error_code.is_not(None), was_tried))
    _write(connection, source, values, unless=func.coalesce(is_newer, false()))


def record_fault(connection: Connection, source: str, code: str) -> None:
    """Store that a check did not end; what the check before it found remains."""
    _write(connection, source, {"tried_at": now(), "error_code": code})


def ask(connection: Connection, source: str, *, actor: str) -> None:
    """Ask for a check of a source, which the next clock makes. Raises UnknownExporter."""
    asked = update(CHECK).where(CHECK.c.source == source).values(asked_at=now())
    if not connection.execute(asked).rowcount:
        raise UnknownExporter(f"no source has the name {source!r}", hint="`portability source check` lists the sources")
    audit.record(connection, "source.test", actor=actor, detail={"source": source})


def _write(
    connection: Connection, source: str, values: Mapping[str, Any], *, unless: ColumnElement[bool] = NEVER
) -> None:
    """Insert or change the row of a source; several clocks and workers may do so at the same time."""
    added = inserting(connection, CHECK)
    if values:
        added = added.on_conflict_do_update(index_elements=[CHECK.c.source], set_=dict(values), where=~unless)
    else:
        added = added.on_conflict_do_nothing()
    insert_row(connection, added, {"source": source, **values})
