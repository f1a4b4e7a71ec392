"""What waits for a worker: a transfer, and the tenants whose slices take turns, by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, cast, exists, false, literal, null, select, true, union_all

from portability.database import models
from portability.database.engine import UtcTime, reading
from worker import transfer
from worker.claim import claims


@dataclass(frozen=True, slots=True)
class WaitingWork:
    """What could be claimed a moment ago."""

    has_transfer: bool
    tenants: Sequence[tuple[str, bool]]
    """The tenants with a claimable slice, in the order of their turns; beside each: whether it has more than one."""


def waiting_work(engine: Engine, tenant_volumes_max: int, *, small_only: bool) -> WaitingWork:
    """Return what waits; `small_only`: only slices of small exports. Raises DatabaseUnavailable."""
    of_transfers = exists(select(models.transfer.c.id).where(transfer.claimable()))
    no_turn = cast(null(), UtcTime()).label("served_at")
    sent = select(true().label("is_transfer"), literal("").label("tenant"), false().label("has_more"), no_turn)
    turns = claims.waiting_tenants(tenant_volumes_max, small_only=small_only).subquery()
    both = union_all(sent.where(of_transfers), select(false(), turns)).subquery()
    ordered = select(both).order_by(both.c.is_transfer.desc(), both.c.served_at.asc().nulls_first(), both.c.tenant)
    with reading(engine) as connection:
        rows = connection.execute(ordered).all()
    tenants = [(row.tenant, row.has_more) for row in rows if not row.is_transfer]
    return WaitingWork(len(tenants) < len(rows), tenants)
