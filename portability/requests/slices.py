"""Slices of exports as rows: each is claimed, fenced, resumed and retried separately. Number 0 plans and closes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, case, func, insert, literal, select, update

from portability.database import leases, models
from portability.database.engine import now
from portability.database.rows import insert_row, inserting
from portability.requests import cursor_seals
from portability.requests.states import SliceState

EXPORT, SLICE, TURN = models.export, models.slice, models.turn

VERSION = 3
"""The newest version of rows that this worker understands. A worker ignores newer rows: a newer worker claims them."""
READINGS_VERSION = 2
"""The version in which readings and positions have their present form."""
READINGS_VERSION_FORMATS = frozenset({"jsonl", "csv", "vcon"})
"""The formats of archives that workers of this version know."""
LATER_DATASETS = frozenset({("portability", "notes"), ("portability", "received_transfers")})
"""Exporters and datasets that workers of `READINGS_VERSION` do not know: they would fail an export that has them."""

Frozen = Mapping[str, Any]
"""A reading in the form of the row (worker/plan/position.py)."""


def claimable() -> ColumnElement[bool]:
    """Return the condition for claimable slices: open, without a valid lease, not backing off, of a known version."""
    # Written into the statement: only so an index of open slices serves each plan of the server.
    is_open = SLICE.c.state == literal(str(SliceState.OPEN), literal_execute=True)
    return and_(is_open, leases.is_available(SLICE), SLICE.c.version <= VERSION)


def group(tenant: str | None) -> str:
    """Return the group that takes turns: each tenant is a group, and all people with an account are one group."""
    return tenant or ""


def open_first(connection: Connection, export: Mapping[str, Any], *, is_further: bool) -> None:
    """Insert slice 0 of a new export, and its tenant's place among the groups that take turns.

    It is marked if its subject has another open request: it gives way to the requests of other people for a while.
    """
    tenant = group(export["tenant"])
    enter_turns(connection, tenant)
    version = VERSION if export["feed_id"] else _version(export["formats"])
    row = _row(export["id"], 0, tenant, version) | {"further": is_further}
    insert_row(connection, insert(SLICE), row)


def _version(formats: Sequence[str]) -> int:
    """Return the version of an export's rows: the oldest whose workers know its formats.

    While two releases run, and after a way back, a worker of the earlier release would fail an export whose formats it
    does not know, and would read the whole archive for a feed.
    """
    return READINGS_VERSION if READINGS_VERSION_FORMATS.issuperset(formats) else VERSION


def planned_version(version: int, datasets: Iterable[tuple[str, str]]) -> int:
    """Return the version of an export's rows once its plan has these exporters and datasets.

    Earlier, an export is of no release yet: whichever worker plans it leaves out what it does not know.
    """
    return version if LATER_DATASETS.isdisjoint(datasets) else VERSION


def stored_version(stored: Iterable[Frozen]) -> dict[str, int]:
    """Return the version of a row with these readings or positions if it must change, as a column and its value.

    Earlier workers cannot open a sealed cursor, and cannot read a position with the version of a file.
    """
    is_later = any(cursor_seals.has_seal(one) or (one.get("files") or {}).get("version") for one in stored)
    return {"version": VERSION} if is_later else {}


def enter_turns(connection: Connection, tenant: str) -> None:
    """Give a group its place among those that take turns, unless it has one."""
    insert_row(connection, inserting(connection, TURN).on_conflict_do_nothing(), {"tenant": tenant})


def open_more(connection: Connection, export_id: str, readings: Sequence[Frozen]) -> None:
    """Insert a slice for each list of readings, numbered after the existing slices. The export is locked."""
    newest = select(func.max(SLICE.c.tenant), func.max(SLICE.c.number), func.max(SLICE.c.version))
    tenant, last, version = connection.execute(newest.where(SLICE.c.export_id == export_id)).one()
    version = stored_version(readings).get("version", version)
    rows = [
        {**_row(export_id, last + 1 + place, tenant, version), "readings": [reading], "large": True}
        for place, reading in enumerate(readings)
    ]
    connection.execute(insert(SLICE).values(rows))


def of(connection: Connection, export_id: str) -> Sequence[RowMapping]:
    """Return all slices of an export, by number."""
    query = select(SLICE).where(SLICE.c.export_id == export_id).order_by(SLICE.c.number)
    return connection.execute(query).mappings().all()


def waits_for(parts: Iterable[RowMapping]) -> tuple[str, str | None] | None:
    """Return the source that an open volume of these slices waits for, and the code of its last fault if it had any."""
    for part in parts:
        if (source := (part["progress"] or {}).get("waits_for")) is not None:
            return source, part["progress"].get("code")
    return None


def end_all(connection: Connection, export_id: str) -> None:
    """End all slices: none can be claimed any more, and a worker with a claim learns it at its next write."""
    ended = {"state": SliceState.DONE, "owner": None, "lease_until": None, "progress": None}
    connection.execute(update(SLICE).where(SLICE.c.export_id == export_id).values(**ended))


def hold(connection: Connection, export_id: str) -> None:
    """Prevent workers from claiming its slice until `let_go`. Only for an export that has not begun."""
    statement = update(SLICE).where(SLICE.c.export_id == export_id, SLICE.c.state == SliceState.OPEN)
    connection.execute(statement.values(state=SliceState.WAITING))


def let_go(connection: Connection, export_id: str) -> None:
    """Release slices that were stopped by `hold`; their waiting time starts now."""
    statement = update(SLICE).where(SLICE.c.export_id == export_id, SLICE.c.state == SliceState.WAITING)
    connection.execute(statement.values(state=SliceState.OPEN, created_at=now()))


def let_close(connection: Connection, export_id: str) -> bool:
    """Let slice 0 close an export whose other slices are finished; returns whether it was waiting for them."""
    first = update(SLICE).where(
        SLICE.c.export_id == export_id, SLICE.c.number == 0, SLICE.c.state == SliceState.WAITING
    )
    return bool(connection.execute(first.values(state=SliceState.OPEN)).rowcount)


def reopen_first(connection: Connection, export_id: str, readings: Sequence[Frozen] | None) -> None:
    """Restart slice 0 with these readings, or with planning. Its fence keeps counting: old workers may be alive."""
    fresh = {"readings": readings, "position": None, "attempts": 0, "not_before": None, "woken_at": None}
    fresh |= {"asked": None, "deaths": None}
    statement = update(SLICE).where(SLICE.c.export_id == export_id, SLICE.c.number == 0)
    least = stored_version(readings or ()).get("version", READINGS_VERSION)
    version = case((SLICE.c.version < least, least), else_=SLICE.c.version)
    values = {"state": SliceState.OPEN, "version": version, "fence": SLICE.c.fence + 1, "token": None}
    connection.execute(statement.values(**values, **fresh, created_at=now()))


def _row(export_id: str, number: int, tenant: str, version: int) -> dict[str, object]:
    return {
        "export_id": export_id,
        "number": number,
        "tenant": tenant,
        "state": SliceState.OPEN,
        "large": False,
        "version": version,
        "fence": 0,
        "attempts": 0,
        "created_at": now(),
    }
