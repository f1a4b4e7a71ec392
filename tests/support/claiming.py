"""Claims of tests, as a worker makes them: what waits by one statement, then the first tenant that has a slice."""

from __future__ import annotations

from sqlalchemy import Engine

from worker.claim.claims import Claim, claim_first
from worker.process.waiting import waiting_work


def claim_next(
    engine: Engine, owner: str, lease_seconds: float, *, tenant_volumes_max: int = 4, small_only: bool = False
) -> Claim | None:
    """Claim the slice whose turn it is; None if there is nothing to do. `small_only`: not of a large export."""
    tenants = waiting_work(engine, tenant_volumes_max, small_only=small_only).tenants
    return claim_first(
        engine, tenants, owner, lease_seconds, tenant_volumes_max=tenant_volumes_max, small_only=small_only
    )
