"""Slices of exports as rows: each is claimed, fenced, resumed and retried alone. Number 0 plans and closes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from portability import models
from portability.db import now
from portability.states import SliceState

SLICE, TURN = models.slice, models.turn

VERSION = 1
"""Of the frozen readings and positions in a row. A worker of an older version leaves newer rows alone."""

Frozen = Mapping[str, Any]
"""A reading as the row holds it (worker/position.py)."""


def group(tenant: str | None) -> str:
    """Whose turn it is: tenants take turns, and all people with an account are one more of them."""
    return tenant or ""


def open_first(connection: Connection, export_id: str, tenant: str | None) -> None:
    """Slice 0 of a new export, and its tenant's place among those who take turns."""
    insert_turn = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert_turn(TURN).values(tenant=group(tenant)).on_conflict_do_nothing())
    connection.execute(insert(SLICE).values(_row(export_id, 0, group(tenant))))


def open_more(connection: Connection, export_id: str, readings: Sequence[Frozen]) -> None:
    """One more slice for each of one or more readings, numbered after those that there are. The export is locked."""
    tenant, last = connection.execute(
        select(func.max(SLICE.c.tenant), func.max(SLICE.c.number)).where(SLICE.c.export_id == export_id)
    ).one()
    rows = [
        {**_row(export_id, last + 1 + place, tenant), "readings": [reading], "large": True}
        for place, reading in enumerate(readings)
    ]
    connection.execute(insert(SLICE).values(rows))


def of(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """All slices of an export, by number."""
    query = select(SLICE).where(SLICE.c.export_id == export_id).order_by(SLICE.c.number)
    return connection.execute(query).mappings().all()


def end_all(connection: Connection, export_id: str) -> None:
    """No slice of it is to be claimed any more, and whoever holds one learns so at its next write."""
    ended = {"state": SliceState.DONE, "owner": None, "lease_until": None, "progress": None}
    connection.execute(update(SLICE).where(SLICE.c.export_id == export_id).values(**ended))


def hold(connection: Connection, export_id: str) -> None:
    """Let no worker take a slice of it before `let_go`. Only of an export that none has begun."""
    mine = update(SLICE).where(SLICE.c.export_id == export_id, SLICE.c.state == SliceState.OPEN)
    connection.execute(mine.values(state=SliceState.WAITING))


def let_go(connection: Connection, export_id: str) -> None:
    """Let workers take what was held; its wait counts from now."""
    mine = update(SLICE).where(SLICE.c.export_id == export_id, SLICE.c.state == SliceState.WAITING)
    connection.execute(mine.values(state=SliceState.OPEN, created_at=now()))


def reopen_first(connection: Connection, export_id: str, readings: Sequence[Frozen] | None) -> None:
    """Let slice 0 begin anew, with these readings or with planning. Its fence goes on, for there may be zombies."""
    fresh = {"readings": readings, "position": None, "attempts": 0, "not_before": None, "woken_at": None}
    mine = update(SLICE).where(SLICE.c.export_id == export_id, SLICE.c.number == 0)
    values = {"state": SliceState.OPEN, "version": VERSION, "fence": SLICE.c.fence + 1, "created_at": now()}
    connection.execute(mine.values(**values, **fresh))


def _row(export_id: str, number: int, tenant: str) -> dict[str, object]:
    return {
        "export_id": export_id,
        "number": number,
        "tenant": tenant,
        "state": SliceState.OPEN,
        "large": False,
        "version": VERSION,
        "fence": 0,
        "attempts": 0,
        "created_at": now(),
    }
