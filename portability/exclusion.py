"""What excludes what: a hold, an erasure, a request and a retry of the same subject (requirements R5 and R8).

Whoever begins one of them takes the deployment's lock first (a retry: that of its export, which an erasure takes too)
and then looks for the others. So of two at the same moment the second sees the first one's row, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, func, or_, select

from portability import models
from portability.db import now
from portability.refusals import ErasureRunning, OnLegalHold

HOLD, ERASURE, EXPORT = models.legal_hold, models.erasure, models.export


def lock(connection: Connection) -> None:
    """One at a time until the transaction ends: the first lock in the order of locks."""
    connection.execute(select(models.deployment.c.id).with_for_update())


def of(table: Table, kind: str, identifier: str, tenant: str | None) -> ColumnElement[bool]:
    """The rows of a table that are about this subject."""
    same = (table.c.subject_kind == kind, table.c.subject_id == identifier)
    return and_(*same, table.c.tenant.is_not_distinct_from(tenant))


def of_row(table: Table, row: Mapping[Any, Any]) -> ColumnElement[bool]:
    """The same for the subject of a row of another table."""
    return of(table, row["subject_kind"], row["subject_id"], row["tenant"])


def check_not_erasing(connection: Connection, kind: str, identifier: str, tenant: str | None) -> None:
    """Raises ErasureRunning."""
    mine = select(ERASURE.c.id).where(of(ERASURE, kind, identifier, tenant), ERASURE.c.state == "begun")
    if (erasure_id := connection.scalar(mine)) is not None:
        raise ErasureRunning(f"the erasure {erasure_id} of this subject has not ended")


def check_not_held(connection: Connection, kind: str, identifier: str, tenant: str | None) -> None:
    """Raises OnLegalHold."""
    mine = select(HOLD.c.id).where(of(HOLD, kind, identifier, tenant), stands())
    if (hold_id := connection.scalar(mine.limit(1))) is not None:
        raise OnLegalHold(f"the hold {hold_id} stands: nothing of this subject is erased (GDPR Art. 17(3))")


def stands() -> ColumnElement[bool]:
    """Of a hold: it was not released, and its end has not come."""
    return and_(HOLD.c.released_at.is_(None), or_(HOLD.c.until.is_(None), HOLD.c.until > now()))


def held() -> ColumnElement[bool]:
    """Of an export: a hold of its subject stands."""
    same = (HOLD.c.subject_kind == EXPORT.c.subject_kind, HOLD.c.subject_id == EXPORT.c.subject_id)
    wall = func.coalesce(HOLD.c.tenant, "") == func.coalesce(EXPORT.c.tenant, "")
    return select(HOLD.c.id).where(*same, wall, stands()).correlate(EXPORT).exists()
