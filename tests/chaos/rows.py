"""What the control database says, read from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, and_, delete, func, select

from portability.database import models
from portability.database.engine import now, reading, writing
from portability.errors import DatabaseUnavailable
from portability.requests.states import OPEN, ExportState, SliceState

EXPORT, SLICE, VOLUME = models.export, models.slice, models.volume


@dataclass(frozen=True, slots=True)
class SliceRow:
    """A slice that is not done."""

    export: str
    number: int
    owner: int
    """Pid; 0: unclaimed."""
    fence: int
    token: str | None


@dataclass(frozen=True, slots=True)
class Look:
    """The state of some exports at one time."""

    open: frozenset[str]
    slices: Sequence[SliceRow]
    stored: int
    """Volumes."""
    writing: int
    known: frozenset[str]
    """Those that have a row."""
    failed: Mapping[str, str]
    """Error codes of those that have failed."""

    @property
    def owners(self) -> set[int]:
        return {one.owner for one in self.slices} - {0}


def look(engine: Engine, exports: Sequence[str]) -> Look | None:
    """None while the database is down."""
    held = and_(SLICE.c.owner.is_not(None), SLICE.c.lease_until > now())
    open_slices = select(SLICE, held.label("held")).where(SLICE.c.export_id.in_(exports))
    volumes = select(VOLUME.c.state, func.count()).where(VOLUME.c.export_id.in_(exports)).group_by(VOLUME.c.state)
    try:
        with reading(engine) as connection:
            states = select(EXPORT.c.id, EXPORT.c.state, EXPORT.c.error_code).where(EXPORT.c.id.in_(exports))
            rows = connection.execute(states).all()
            found = connection.execute(open_slices.where(SLICE.c.state != SliceState.DONE)).mappings().all()
            counts: dict[str, int] = dict(map(tuple, connection.execute(volumes)))
    except DatabaseUnavailable:
        return None
    slices = [
        SliceRow(row["export_id"], row["number"], _pid(row["owner"], row["held"]), row["fence"], row["token"])
        for row in found
    ]
    return Look(
        open=frozenset(row.id for row in rows if row.state in OPEN),
        slices=slices,
        stored=counts.get("stored", 0),
        writing=counts.get("writing", 0),
        known=frozenset(row.id for row in rows),
        failed={row.id: row.error_code for row in rows if row.state == ExportState.FAILED},
    )


def leases(engine: Engine) -> int:
    """How many slices are claimed."""
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).where(SLICE.c.lease_until.is_not(None))) or 0


def forget(engine: Engine, exports: Sequence[str]) -> None:
    """Delete judged exports, so that a long run stays as fast as a short one."""
    with writing(engine) as connection:
        for table in reversed(models.metadata.sorted_tables):
            if any(key.column is EXPORT.c.id for key in table.foreign_keys):
                connection.execute(delete(table).where(table.c.export_id.in_(exports)))
        connection.execute(delete(EXPORT).where(EXPORT.c.id.in_(exports)))


def _pid(owner: str | None, held: object) -> int:
    return int(owner.rsplit(":", 1)[1]) if owner and held else 0
