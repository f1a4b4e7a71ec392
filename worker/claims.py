"""Claims: which slice a worker takes next. Tenants take turns; within one, small exports pass large ones.

A claim sets a lease by the database's clock and increments the fence of the slice; from then on every write of this
worker carries that fence (worker/checkpoint.py). Locks are taken in one order everywhere: turn, export, slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    true,
    update,
)

from portability import incidents, models, slices
from portability.db import now, reading, writing
from portability.incidents import Incident
from portability.states import OPEN, ExportState, SliceState

EXPORT, SLICE, TURN = models.export, models.slice, models.turn
TENANTS_MAX = 20
"""How many tenants a worker tries in one go."""
LARGE_WAITS_SECONDS = 600
"""How long a slice of a large export lets small ones of its tenant pass."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to advance one slice of an export, for as long as the fence holds."""

    export: RowMapping
    slice: RowMapping

    @property
    def id(self) -> str:
        """Of the export."""
        identifier: str = self.export["id"]
        return identifier

    @property
    def number(self) -> int:
        """Of the slice."""
        number: int = self.slice["number"]
        return number

    @property
    def fence(self) -> int:
        fence: int = self.slice["fence"]
        return fence

    @property
    def cancelled(self) -> bool:
        """Whether cancelling was asked for before it was claimed."""
        return self.export["cancel_requested_at"] is not None

    @property
    def attempts(self) -> int:
        """Tries of the open volume, this one included."""
        attempts: int = self.slice["attempts"]
        return attempts


def claimable(*, small_only: bool = False) -> ColumnElement[bool]:
    """Open, nobody's or left behind by a worker whose lease has run out, not backing off, and of a known version.

    `small_only`: and of no large export.
    """
    free = or_(SLICE.c.lease_until.is_(None), SLICE.c.lease_until < now())
    due = or_(SLICE.c.not_before.is_(None), SLICE.c.not_before <= now())
    fits = SLICE.c.large.is_(False) if small_only else true()
    return and_(SLICE.c.state == SliceState.OPEN, free, due, SLICE.c.version <= slices.VERSION, fits)


def waiting_tenants(tenant_volumes_max: int, *, small_only: bool = False) -> Select[str]:
    """Those who have something claimable and room for one more volume, whose last turn is longest ago first."""
    something = exists().where(SLICE.c.tenant == TURN.c.tenant, claimable(small_only=small_only))
    query = select(TURN.c.tenant).where(something, _has_room(TURN.c.tenant, tenant_volumes_max))
    return query.order_by(TURN.c.served_at.asc().nulls_first(), TURN.c.tenant).limit(TENANTS_MAX)


def claim(
    engine: Engine, owner: str, lease_seconds: float, *, tenant_volumes_max: int = 4, small_only: bool = False
) -> Claim | None:
    """Claim the fairest slice, or None where there is nothing to do. `small_only`: none of a large export.

    Raises: DatabaseUnavailable.
    """
    for tenant in waiting(engine, tenant_volumes_max, small_only=small_only):
        # A transaction for each: no worker ever holds the turns of two tenants.
        held = claim_of(
            engine, tenant, owner, lease_seconds, tenant_volumes_max=tenant_volumes_max, small_only=small_only
        )
        if held is not None:
            return held
    return None


def waiting(engine: Engine, tenant_volumes_max: int, *, small_only: bool = False) -> Sequence[str]:
    """The tenants to try, in their order. Raises DatabaseUnavailable."""
    with reading(engine) as connection:
        return connection.scalars(waiting_tenants(tenant_volumes_max, small_only=small_only)).all()


def claim_of(
    engine: Engine,
    tenant: str,
    owner: str,
    lease_seconds: float,
    *,
    tenant_volumes_max: int,
    small_only: bool = False,
) -> Claim | None:
    """Claim the next slice of one tenant, or None where it has none or no room. Raises DatabaseUnavailable."""
    with writing(engine) as connection:
        connection.execute(select(TURN.c.tenant).where(TURN.c.tenant == tenant).with_for_update())
        # Asked again under the lock: others may have claimed meanwhile.
        if not connection.scalar(select(_has_room(TURN.c.tenant, tenant_volumes_max)).where(TURN.c.tenant == tenant)):
            return None
        held, is_strange = _next_of(connection, tenant, owner, lease_seconds, small_only=small_only)
    if is_strange:
        incidents.count(engine, Incident.UNKNOWN_STATE)
    return held


def _has_room(tenant: ColumnElement[str], tenant_volumes_max: int) -> ColumnElement[bool]:
    """Whether one more volume of it may be written now; people with an account are not held back by each other."""
    running = select(func.count()).where(SLICE.c.tenant == tenant, SLICE.c.lease_until >= now()).scalar_subquery()
    return or_(tenant == slices.group(None), running < tenant_volumes_max)


def _next_of(
    connection: Connection, tenant: str, owner: str, lease_seconds: float, *, small_only: bool
) -> tuple[Claim | None, bool]:
    """Claim the tenant's next slice; also returns whether its export is in a state that it cannot be in."""
    waited_since = func.coalesce(SLICE.c.claimed_at, SLICE.c.created_at)
    lets_pass = case((and_(SLICE.c.large, waited_since > now(-LARGE_WAITS_SECONDS)), 1), else_=0)
    mine = (SLICE.c.tenant == tenant, claimable(small_only=small_only))
    chosen = select(SLICE.c.export_id, SLICE.c.number).where(*mine)
    chosen = chosen.order_by(lets_pass, waited_since, SLICE.c.export_id, SLICE.c.number).limit(1)
    found = connection.execute(chosen).one_or_none()
    if found is None:
        return None, False
    locked = select(EXPORT).where(EXPORT.c.id == found.export_id).with_for_update()
    if connection.execute(locked).mappings().one()["state"] not in OPEN:
        slices.end_all(connection, found.export_id)
        return None, True
    taken = {
        "owner": owner,
        "fence": SLICE.c.fence + 1,
        "attempts": SLICE.c.attempts + 1,
        "lease_until": now(lease_seconds),
        "claimed_at": now(),
        "progress": None,
    }
    this = and_(SLICE.c.export_id == found.export_id, SLICE.c.number == found.number, claimable())
    row = connection.execute(update(SLICE).where(this).values(**taken).returning(SLICE)).mappings().one_or_none()
    if row is None:
        return None, False
    connection.execute(update(TURN).where(TURN.c.tenant == tenant).values(served_at=now()))
    begun = {
        "state": case((EXPORT.c.state == ExportState.QUEUED, ExportState.RUNNING), else_=EXPORT.c.state),
        "began_at": func.coalesce(EXPORT.c.began_at, now()),
    }
    changed = update(EXPORT).where(EXPORT.c.id == found.export_id).values(**begun).returning(EXPORT)
    return Claim(connection.execute(changed).mappings().one(), row), False
