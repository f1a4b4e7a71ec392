"""Claims and fenced writes: who works on an export, and what is certain of it.

A claim is one conditional UPDATE that sets a lease by the database's clock and increments the fence. Every later
write carries that fence; when no row matches, somebody else owns the export and this worker stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from portability import audit, models
from portability.api import Cursor
from portability.db import now, writing
from portability.errors import LeaseLost, PortabilityError
from portability.states import OPEN, ExportState

EXPORT, VOLUME = models.export, models.volume
ACTOR = "worker"
BACKOFF_MAX_SECONDS = 300


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """Files of a batch whose records are written already."""

    resume: Cursor
    """Where the records go on once the files are through."""
    last: str | None = None
    """Name of the last file that is written whole."""
    part: int = 0
    """Parts of the next file that are written, when it goes out in several."""
    offset: int = 0
    """Its bytes in those parts."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the next volume begins. Frozen; replaced only after storage has confirmed the volume before it."""

    ordinal: int = 0
    """The ledger line that is read."""
    after: Cursor | None = None
    piece: int = 0
    """Pieces of this dataset that are written."""
    files: OpenFiles | None = None

    @classmethod
    def thaw(cls, frozen: Mapping[str, Any] | None) -> Position:
        """From the row; None is the beginning."""
        if frozen is None:
            return cls()
        files = frozen["files"]
        return cls(frozen["ordinal"], frozen["after"], frozen["piece"], None if files is None else OpenFiles(**files))

    def freeze(self) -> dict[str, Any]:
        """For the row."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to advance one export, for as long as the fence holds."""

    export: RowMapping
    fence: int

    @property
    def id(self) -> str:
        identifier: str = self.export["id"]
        return identifier


def claimable() -> ColumnElement[bool]:
    """Queued, released, or left behind by a worker whose lease has run out; and not backing off."""
    free = or_(EXPORT.c.lease_until.is_(None), EXPORT.c.lease_until < now())
    due = or_(EXPORT.c.not_before.is_(None), EXPORT.c.not_before <= now())
    return and_(EXPORT.c.state.in_(OPEN), free, due)


def fairest() -> Select[tuple[str]]:
    """Claimable ids, whoever waited longest since its last turn first: a small export waits for no terabyte."""
    waited_since = func.coalesce(EXPORT.c.claimed_at, EXPORT.c.created_at)
    return select(EXPORT.c.id).where(claimable()).order_by(waited_since, EXPORT.c.id)


def claim(engine: Engine, owner: str, lease_seconds: float) -> Claim | None:
    """Claim the fairest export, or None where there is nothing to do."""
    with writing(engine) as connection:
        chosen = fairest().limit(1)
        if connection.dialect.name == "postgresql":
            chosen = chosen.with_for_update(skip_locked=True)
        taken = update(EXPORT).where(EXPORT.c.id == chosen.scalar_subquery(), claimable())
        values = {
            "state": ExportState.RUNNING,
            "owner": owner,
            "fence": EXPORT.c.fence + 1,
            "attempts": EXPORT.c.attempts + 1,
            "lease_until": now(lease_seconds),
            "claimed_at": now(),
            "progress": None,
            "began_at": func.coalesce(EXPORT.c.began_at, now()),
        }
        row = connection.execute(taken.values(**values).returning(EXPORT)).mappings().one_or_none()
    return None if row is None else Claim(row, row["fence"])


def renew(engine: Engine, held: Claim, lease_seconds: float, progress: Mapping[str, int]) -> bool:
    """Prolong the lease and tell how far the volume is; returns whether cancelling was asked for. Raises LeaseLost."""
    with writing(engine) as connection:
        row = write(connection, held, lease_until=now(lease_seconds), progress=dict(progress))
    return row["cancel_requested_at"] is not None


def write(connection: Connection, held: Claim, **values: object) -> RowMapping:
    """Change the export under the fence and return its row; without values, only check and lock. Raises LeaseLost."""
    mine = update(EXPORT).where(EXPORT.c.id == held.id, EXPORT.c.fence == held.fence, EXPORT.c.state.in_(OPEN))
    row = connection.execute(mine.values(fence=held.fence, **values).returning(EXPORT)).mappings().one_or_none()
    if row is None:
        raise LeaseLost(f"export {held.id} is no longer this worker's (fence {held.fence})")
    return row


def release(connection: Connection, held: Claim, **values: object) -> None:
    """Give the export back, claimable at once unless `not_before` says otherwise. Raises LeaseLost."""
    write(connection, held, owner=None, lease_until=None, progress=None, **values)


def back_off(connection: Connection, held: Claim, wait_seconds: float, error: PortabilityError) -> None:
    """Give it back after a fault of ours, to be tried again later. Raises LeaseLost."""
    release(connection, held, not_before=now(wait_seconds), error_code=error.code, error_message=str(error))
    detail = {"code": error.code, "attempt": held.export["attempts"]}
    audit.record(connection, "volume.failed", actor=ACTOR, export_id=held.id, detail=detail)


def hand_back(connection: Connection, held: Claim) -> None:
    """Give it back unharmed when the worker must stop: no attempt is counted. Raises LeaseLost."""
    release(connection, held, attempts=EXPORT.c.attempts - 1)


def end(connection: Connection, held: Claim, state: ExportState, error: PortabilityError | None = None) -> None:
    """The export's last state, with its reason. Raises LeaseLost."""
    code, message = (None, None) if error is None else (error.code, str(error))
    release(connection, held, state=state, error_code=code, error_message=message, ended_at=now(), not_before=None)
    audit.record(connection, f"export.{state}", actor=ACTOR, export_id=held.id, detail={"code": code})


def begin_volume(connection: Connection, held: Claim, row: Mapping[str, object]) -> None:
    """Make the upload known before its first byte: whatever happens, it can be found and aborted."""
    write(connection, held, volume_counter=row["number"])
    values = {**row, "export_id": held.id, "fence": held.fence, "state": "writing", "began_at": now()}
    connection.execute(insert(VOLUME).values(**values))


def abandoned(connection: Connection, held: Claim) -> list[RowMapping]:
    """Volumes of this export that were begun and never stored."""
    query = select(VOLUME).where(VOLUME.c.export_id == held.id, VOLUME.c.state == "writing")
    return list(connection.execute(query).mappings())


def forget_volume(connection: Connection, held: Claim, row: RowMapping) -> None:
    """Drop an aborted volume and give its number back. Raises LeaseLost."""
    write(connection, held, volume_counter=EXPORT.c.volume_counter - 1)
    connection.execute(delete(VOLUME).where(VOLUME.c.id == row["id"]))
