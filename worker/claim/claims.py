"""Claims: which slice a worker takes next. Tenants take turns; within a turn, large exports and further requests yield.

A claim sets a lease by the database's clock, increments the slice's fence and sets a random token; from then on every
write of this worker carries both (worker/claim/fenced_writes.py). The fence orders the claims of one history. After a
failover that lost the last commits two claims have the same fence: the token tells them apart. Locks are taken in one
order everywhere: turn, export, slice. A tenant's turn is locked, because the tenant's volumes are counted; claims for
people do not wait for each other.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
    update,
)

from portability.database import history, incidents, models
from portability.database.engine import now, writing
from portability.database.incidents import Incident
from portability.requests import slices
from portability.requests.states import OPEN, ExportState
from portability.requests.transition import transition
from portability.trust import unchained

EXPORT, SLICE, TURN = models.export, models.slice, models.turn
WAITED_SINCE = func.coalesce(SLICE.c.claimed_at, SLICE.c.created_at)
YIELDS = or_(SLICE.c.large, SLICE.c.further)
IS_UNCHAINED = unchained.is_unchained(EXPORT.c.subject_ref).label("has_unchained")
TENANTS_MAX = 20
"""How many tenants a worker tries in one call."""
TRIES = 8
"""How many exports a worker tries of which others have just claimed the last slice."""
YIELDS_SECONDS = 600
"""How long a slice of a large export, or of a person's further request, gives way to others of its tenant."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one slice of an export, valid while its fence and token are those in the row."""

    export: RowMapping
    slice: RowMapping
    others_wait: bool = False
    """Whether more slices were waiting when it was made."""
    has_unchained: bool = False
    """Whether events of the subject's exports were not in the chain of the audit log yet."""
    made_seconds: float = field(default_factory=time.monotonic)
    """When it was made, by the monotonic clock of this machine."""

    @property
    def id(self) -> str:
        """The id of the export."""
        identifier: str = self.export["id"]
        return identifier

    @property
    def number(self) -> int:
        """The number of the slice."""
        number: int = self.slice["number"]
        return number

    @property
    def fence(self) -> int:
        fence: int = self.slice["fence"]
        return fence

    @property
    def token(self) -> str:
        token: str = self.slice["token"]
        return token

    @property
    def cancelled(self) -> bool:
        """Whether the export was cancelled before the claim."""
        return self.export["cancel_requested_at"] is not None

    @property
    def attempts(self) -> int:
        """Attempts at the open volume, with the current attempt."""
        attempts: int = self.slice["attempts"]
        return attempts

    def present(self) -> datetime:
        """Return the time by the database's clock, without asking it: the clock of this machine may be wrong."""
        claimed_at: datetime = self.slice["claimed_at"]
        return claimed_at + timedelta(seconds=time.monotonic() - self.made_seconds)


def new_token() -> str:
    """Return the identity of a new claim: 128 random bits in hexadecimal digits."""
    return secrets.token_hex(16)


def claimable(*, small_only: bool = False) -> ColumnElement[bool]:
    """Return the condition for claimable slices; `small_only`: only those of small exports."""
    return and_(slices.claimable(), SLICE.c.large.is_(False) if small_only else true())


def waiting_tenants(tenant_volumes_max: int, *, small_only: bool = False) -> Select[Any]:
    """Select tenants with a claimable slice and room for one more volume, the one with the oldest turn first.

    Beside each: whether it has more than one claimable slice, and its last turn.
    """
    of_tenant = (SLICE.c.tenant == TURN.c.tenant, claimable(small_only=small_only))
    second = exists(select(SLICE.c.number).where(*of_tenant).offset(1).correlate(TURN)).label("has_more")
    is_first, has_room = exists().where(*of_tenant), _has_room(TURN.c.tenant, tenant_volumes_max)
    query = select(TURN.c.tenant, second, TURN.c.served_at).where(is_first, has_room)
    return query.order_by(TURN.c.served_at.asc().nulls_first(), TURN.c.tenant).limit(TENANTS_MAX)


def claim_first(
    engine: Engine,
    tenants: Sequence[tuple[str, bool]],
    owner: str,
    lease_seconds: float,
    *,
    tenant_volumes_max: int,
    small_only: bool,
) -> Claim | None:
    """Claim for the first of the waiting tenants that has a slice; beside each: whether it has more than one.

    Raises: DatabaseUnavailable.
    """
    for tenant, has_more in tenants:
        # One transaction each, so that a worker never locks the turns of two tenants.
        claimed = claim_of(
            engine, tenant, owner, lease_seconds, tenant_volumes_max=tenant_volumes_max, small_only=small_only
        )
        if claimed is not None:
            return replace(claimed, others_wait=has_more or len(tenants) > 1)
    return None


def claim_of(
    engine: Engine,
    tenant: str,
    owner: str,
    lease_seconds: float,
    *,
    tenant_volumes_max: int,
    small_only: bool = False,
) -> Claim | None:
    """Claim the next slice of one tenant; None if it has none, or no room, or the database may lack commits.

    Raises: DatabaseUnavailable.
    """
    ranks = Ranks(tenant, tenant_volumes_max, small_only=small_only)
    try:
        with writing(engine) as connection:
            if ranks.is_limited:
                connection.execute(update(TURN).where(TURN.c.tenant == tenant).values(served_at=now()))
            claimed = _next_of(connection, ranks, owner, lease_seconds)
    except _NothingClaimed:
        return None
    if claimed is None:
        incidents.count(engine, Incident.UNKNOWN_STATE)
    return claimed


class _NothingClaimed(Exception):
    """The tenant has no slice now: its turn is rolled back, so that it keeps its place."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """The slices of a tenant in the order in which they are claimed."""

    tenant: str
    volumes_max: int
    small_only: bool = False

    @property
    def is_limited(self) -> bool:
        """Return whether the tenant's volumes are limited. People with an account have no common limit, and no lock."""
        return self.tenant != slices.group(None)

    def next_export(self) -> Select[Any]:
        """Select the export of the next slice, locked: it waits for another transaction that has locked the export."""
        ranked = union_all(*(select(self._first(yields=yields).subquery()) for yields in (False, True))).subquery()
        chosen = select(ranked.c.export_id).order_by(ranked.c.gives_way, ranked.c.waited_since, ranked.c.export_id)
        query = select(EXPORT, IS_UNCHAINED).where(EXPORT.c.id == chosen.limit(1).scalar_subquery())
        return query.with_for_update(of=EXPORT)

    def free_exports(self) -> Select[Any]:
        """Select the same of the exports that no other transaction has locked, of both kinds of slices."""
        both = []
        for yields in (False, True):
            first = (
                self._first(yields=yields)
                .add_columns(EXPORT, IS_UNCHAINED)
                .join(EXPORT, EXPORT.c.id == SLICE.c.export_id)
            )
            both.append(first.with_for_update(of=EXPORT, skip_locked=True).cte("yielding" if yields else "others"))
        return union_all(*(select(found) for found in both))  # type: ignore[return-value]  # executed like a SELECT

    def _first(self, *, yields: bool) -> Select[Any]:
        """Select the first slice that yields, or the first other slice: both have an index in the order of waiting."""
        may_claim = and_(history.known(), _has_room(literal(self.tenant), self.volumes_max))
        which = (SLICE.c.tenant == self.tenant, YIELDS if yields else not_(YIELDS), may_claim)
        gives_way = now(-YIELDS_SECONDS) < WAITED_SINCE if yields else false()
        query = select(gives_way.label("gives_way"), WAITED_SINCE.label("waited_since"), SLICE.c.export_id)
        query = query.where(*which, claimable(small_only=self.small_only))
        return query.order_by(WAITED_SINCE, SLICE.c.export_id, SLICE.c.number).limit(1)


def _has_room(tenant: ColumnElement[str], tenant_volumes_max: int) -> ColumnElement[bool]:
    """Return whether the tenant may write one more volume now; people with an account have no common limit."""
    running = select(func.count()).where(SLICE.c.tenant == tenant, SLICE.c.lease_until >= now()).scalar_subquery()
    return or_(tenant == slices.group(None), running < tenant_volumes_max)


def _next_of(connection: Connection, ranks: Ranks, owner: str, lease_seconds: float) -> Claim | None:
    """Claim the tenant's next slice; None: its export was in an impossible state, and is ended now.

    Raises: _NothingClaimed.
    """
    for _ in range(TRIES):
        found = lock_next(connection, ranks)
        if not found:
            raise _NothingClaimed
        export = found
        if export["state"] not in OPEN:
            slices.end_all(connection, export["id"])
            return None
        # Another worker may have claimed the slice just before the export was locked: then the next export.
        if (row := _take(connection, export, owner, lease_seconds, small_only=ranks.small_only)) is None:
            continue
        if not ranks.is_limited:
            note_turn(connection, ranks.tenant)
        if export["state"] == ExportState.QUEUED:
            export = transition(connection, export, ExportState.RUNNING, actor=owner, columns={"began_at": now()})
        return Claim(export, row, has_unchained=found["has_unchained"])
    raise _NothingClaimed


def note_turn(connection: Connection, tenant: str) -> None:
    """Note that a group without a limit was served.

    Another claim of the same group at this moment writes the same time: no claim waits for it.
    """
    own = select(TURN.c.tenant).where(TURN.c.tenant == tenant).with_for_update(skip_locked=True)
    connection.execute(update(TURN).where(TURN.c.tenant == own.scalar_subquery()).values(served_at=now()))


def _take(
    connection: Connection, export: RowMapping, owner: str, lease_seconds: float, *, small_only: bool
) -> RowMapping | None:
    """Claim the slice of a locked export that has waited longest; None: none of its slices is claimable."""
    taken = {
        "owner": owner,
        "fence": SLICE.c.fence + 1,
        "token": new_token(),
        "attempts": SLICE.c.attempts + 1,
        "lease_until": now(lease_seconds),
        "claimed_at": now(),
        "progress": None,
    }
    of_export = and_(SLICE.c.export_id == export["id"], claimable(small_only=small_only))
    oldest = select(SLICE.c.number).where(of_export).order_by(WAITED_SINCE, SLICE.c.number).limit(1)
    this = and_(of_export, SLICE.c.number == oldest.scalar_subquery())
    return connection.execute(update(SLICE).where(this).values(**taken).returning(SLICE)).mappings().one_or_none()


def lock_next(connection: Connection, ranks: Ranks) -> RowMapping | None:
    """Return the export whose slice is the tenant's next one, locked; None: nothing is claimable, or there is no room.

    Workers that claim for people at the same moment pass by each other's exports. If all of them are locked, the worker
    waits for the next export: another slice of it may be left. Room is counted under the lock of the tenant's turn:
    other workers may have claimed before.
    """
    if not ranks.is_limited:
        free = connection.execute(ranks.free_exports()).mappings().all()
        if free:
            return min(free, key=lambda row: (row["gives_way"], row["waited_since"], row["export_id"]))
    return connection.execute(ranks.next_export()).mappings().one_or_none()
