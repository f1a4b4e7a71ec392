"""Earlier revisions: what a retry of gaps changes in a ready export is kept until the next revision closes.

Meanwhile the archive can be downloaded. A revision that is given up leaves it as it was: the same volumes, ledger,
gaps, outcome and end. A release that does not know this table may have begun the revision, or closed one: what is kept
counts only for the revision that follows it, as long as its closing volume is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, and_, case, delete, insert, select, update

from portability.database import models
from portability.database.engine import now
from portability.database.rows import row_from_json, row_to_json
from portability.requests.states import ONGOING, OPEN, ExportState, VolumeState

TABLE, EXPORT, VOLUME, REFERRAL = models.earlier_revision, models.export, models.volume, models.referral
COLUMNS = (
    *("complete", "outcome_own", "outcome_processor", "revision", "reviewed"),
    *("ended_at", "kept_until", "kept_since", "erasure_ground"),
)
"""Columns of an export that a revision changes."""
FIRST = 1
"""Revision of the first archive."""
WORK = (models.ledger, models.gap)
"""Tables whose rows a revision changes."""


@dataclass(frozen=True, slots=True)
class EarlierRevision:
    """The archive of an export before the revision that is being made."""

    export_id: str
    columns: Mapping[str, Any]
    """Of the export's row."""
    contents: Mapping[str, Any]

    @property
    def revision(self) -> int:
        number: int = self.columns["revision"]
        return number


def next_is_made() -> ColumnElement[bool]:
    """Return the condition for exports: an archive was ready, and its next revision is being made."""
    return and_(EXPORT.c.revision > FIRST, EXPORT.c.state.in_(ONGOING))


def keep(connection: Connection, export: RowMapping, answers: Iterable[RowMapping]) -> None:
    """Keep what the next revision of a locked, ready export changes; `answers` are the referrals that it will show."""
    forget(connection, export["id"])
    closing = (VOLUME.c.export_id == export["id"], VOLUME.c.closing, VOLUME.c.revision == export["revision"])
    volume_id = connection.scalar(select(VOLUME.c.id).where(*closing, VOLUME.c.state == VolumeState.STORED).limit(1))
    if not volume_id:
        return
    contents: dict[str, Any] = {table.name: _rows(connection, table, export["id"]) for table in WORK}
    contents["export"] = row_to_json({name: export[name] for name in COLUMNS})
    contents["referral"] = [row["id"] for row in answers]
    values = {"export_id": export["id"], "volume_id": volume_id, "contents": contents, "created_at": now()}
    connection.execute(insert(TABLE).values(**values))


def of(connection: Connection, export: Mapping[Any, Any]) -> EarlierRevision | None:
    """Return what was kept of a locked export whose revision is being made; None: there is nothing to go back to.

    After a request to cancel there is nothing either: an erasure ends the archive, too.
    """
    contents = connection.scalar(_kept(TABLE.c.contents, ONGOING).where(EXPORT.c.id == export["id"]))
    return EarlierRevision(export["id"], _columns(contents["export"]), contents) if contents else None


def archive(connection: Connection, export: Mapping[Any, Any]) -> Mapping[Any, Any] | None:
    """Return the row of an export as its archive has it, which can be downloaded; None: it has none.

    While the next revision is made, the archive has the columns of the revision before.
    """
    if export["state"] == ExportState.READY:
        return export
    kept: Mapping[str, Any] | None = None
    if export["state"] in OPEN and export["revision"] > FIRST:
        kept = connection.scalar(_kept(TABLE.c.contents["export"], OPEN).where(EXPORT.c.id == export["id"]))
    return {**export, **_columns(kept)} if kept else None


def archive_revision() -> ColumnElement[int | None]:
    """Return a column of exports: the revision of the archive that can be downloaded; NULL: it has no archive."""
    earlier = _kept(VOLUME.c.revision, OPEN).correlate(EXPORT).scalar_subquery()
    return case((EXPORT.c.state == ExportState.READY, EXPORT.c.revision), else_=earlier)


def _kept(column: ColumnElement[Any], states: Collection[ExportState]) -> Select[Any]:
    """Return the query of what is kept of exports in these states, while the revision that follows it is made."""
    joined = TABLE.join(VOLUME, VOLUME.c.id == TABLE.c.volume_id)
    closing = (VOLUME.c.export_id == EXPORT.c.id, VOLUME.c.closing, VOLUME.c.state == VolumeState.STORED)
    follows = (TABLE.c.export_id == EXPORT.c.id, VOLUME.c.revision == EXPORT.c.revision - 1)
    stands = (EXPORT.c.state.in_(states), EXPORT.c.cancel_requested_at.is_(None))
    return select(column).select_from(joined).where(*follows, *closing, *stands)


def _columns(kept: Mapping[str, Any]) -> Mapping[str, Any]:
    # An earlier release has kept fewer columns.
    return {name: value for name, value in row_from_json(EXPORT, kept).items() if name in COLUMNS}


def restore(connection: Connection, earlier: EarlierRevision) -> None:
    """Write back ledger, gaps and answers of referrals as they were, and forget what was kept.

    Gaps get new ids, in the same order: no reading names the old ids any more.
    """
    for table in WORK:
        connection.execute(delete(table).where(table.c.export_id == earlier.export_id))
        rows = [row_from_json(table, row) for row in earlier.contents[table.name]]
        for row in rows:
            row.pop("id", None)
        if rows:
            connection.execute(insert(table), rows)
    unshown = update(REFERRAL).where(REFERRAL.c.id.in_(earlier.contents["referral"]))
    connection.execute(unshown.values(applied_at=None))
    forget(connection, earlier.export_id)


def forget(connection: Connection, export_id: str) -> None:
    """Delete what was kept: the revision has closed, or the archive has ended with it."""
    connection.execute(delete(TABLE).where(TABLE.c.export_id == export_id))


def has_outdated(connection: Connection) -> bool:
    """Return whether something is kept of an export that is not being revised: a release before this table ended it."""
    return bool(connection.scalar(select(TABLE.c.export_id).where(TABLE.c.export_id.not_in(_open())).limit(1)))


def purge(connection: Connection) -> None:
    """Delete what is kept of exports that are not being revised."""
    connection.execute(delete(TABLE).where(TABLE.c.export_id.not_in(_open())))


def _open() -> Select[str]:
    return select(EXPORT.c.id).where(EXPORT.c.state.in_(ONGOING))


def _rows(connection: Connection, table: Table, export_id: str) -> Sequence[dict[str, Any]]:
    query = select(table).where(table.c.export_id == export_id).order_by(*table.primary_key.columns)
    return [row_to_json(row) for row in connection.execute(query).mappings()]
