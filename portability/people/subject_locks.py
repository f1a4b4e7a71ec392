"""Mutual exclusion of legal hold, erasure, request and retry for the same subject (requirements R5 and R8).

Each of them first takes the lock of its subject (a retry: the lock of its export, which an erasure takes too) and then
looks for the others. If two start at the same moment, the second sees the first one's row and is refused. Transactions
about different subjects do not wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    String,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
)

from portability.api import SubjectKind
from portability.database import models, named_locks
from portability.database.engine import now
from portability.errors import ErasureRunning, OnLegalHold

SubjectName: TypeAlias = tuple[str, str, str | None]
"""Kind, id and tenant of a subject."""
HOLD, ERASURE, EXPORT = models.legal_hold, models.erasure, models.export
MANDATE, ORDER = models.mandate, models.instruction


def lock(connection: Connection, *subjects: SubjectName) -> None:
    """Take the locks of some subjects until the transaction ends: the first locks in the order of locks.

    Each subject is its kind, id and tenant. All subjects of a tenant share the tenant's lock: what concerns a whole
    tenant excludes them. Call it once in a transaction, because locks are taken in one order.
    """
    tenants = {_name(SubjectKind.TENANT, tenant, tenant) for _kind, _id, tenant in subjects if tenant is not None}
    named_locks.lock(connection, *(_name(*subject) for subject in subjects), shared=tenants)


def name_of_row(row: Mapping[Any, Any]) -> SubjectName:
    """Return the subject of a row of any table."""
    return row["subject_kind"], row["subject_id"], row["tenant"]


def _name(kind: str, identifier: str, tenant: str | None) -> str:
    return "\t".join(("subject", kind, tenant or "", identifier))


def of(table: Table, kind: str, identifier: str, tenant: str | None) -> ColumnElement[bool]:
    """Return the condition for rows of a table that are about this subject."""
    same = (table.c.subject_kind == kind, table.c.subject_id == identifier)
    return and_(*same, table.c.tenant.is_not_distinct_from(tenant))


def of_row(table: Table, row: Mapping[Any, Any]) -> ColumnElement[bool]:
    """Return the same condition for the subject of a row of another table."""
    return of(table, row["subject_kind"], row["subject_id"], row["tenant"])


GIVEN: Mapping[str, BindParameter[Any]] = {name: bindparam(name) for name in ("subject_kind", "subject_id", "tenant")}
"""A subject as a row of parameters, for statements that are built once because they run often."""
ERASING = select(ERASURE.c.id).where(of_row(ERASURE, GIVEN), ERASURE.c.state == "begun")


def parameters(kind: str, identifier: str, tenant: str | None) -> Mapping[str, str | None]:
    """Return the values of GIVEN."""
    return dict(zip(GIVEN, (kind, identifier, tenant), strict=True))


def check_not_erasing(connection: Connection, kind: str, identifier: str, tenant: str | None) -> None:
    """Check that no erasure of the subject is running. Raises ErasureRunning."""
    if (erasure_id := connection.scalar(ERASING, parameters(kind, identifier, tenant))) is not None:
        raise ErasureRunning(f"this subject is being erased: erasure {erasure_id} has not ended")


def is_erasing(connection: Connection, subject: SubjectName) -> bool:
    """Return whether an erasure of the subject is running."""
    return bool(connection.scalar(ERASING, parameters(*subject)))


def erasing(table: Table) -> ColumnElement[bool]:
    """Return the condition for rows of a table whose subject is being erased."""
    same = (ERASURE.c.subject_kind == table.c.subject_kind, ERASURE.c.subject_id == table.c.subject_id)
    same_tenant = ERASURE.c.tenant.is_not_distinct_from(table.c.tenant)
    begun = select(ERASURE.c.id).where(*same, same_tenant, ERASURE.c.state == "begun")
    return begun.correlate_except(ERASURE).exists()


def exclude_erasure(connection: Connection, subject: SubjectName, *others: SubjectName) -> None:
    """Take the locks of a subject and of others, and check that no erasure of the subject is running.

    An erasure takes the same lock at its begin and at its end, where it deletes what names the subject. Call it once in
    a transaction, before all other locks. Raises ErasureRunning.
    """
    lock(connection, subject, *others)
    check_not_erasing(connection, *subject)


def check_not_held(connection: Connection, kind: str, identifier: str, tenant: str | None) -> None:
    """Check that the subject is not under a legal hold. Raises OnLegalHold."""
    query = select(HOLD.c.id).where(of(HOLD, kind, identifier, tenant), stands())
    if (hold_id := connection.scalar(query.limit(1))) is not None:
        raise OnLegalHold(f"this subject is under legal hold {hold_id}: nothing is erased (GDPR Art. 17(3))")


def stands() -> ColumnElement[bool]:
    """Return the condition for active holds: not released and not past their end."""
    return and_(HOLD.c.released_at.is_(None), or_(HOLD.c.until.is_(None), HOLD.c.until > now()))


def held() -> ColumnElement[bool]:
    """Return the condition for exports whose subject is under an active hold."""
    return is_held(EXPORT.c.subject_kind, EXPORT.c.subject_id, EXPORT.c.tenant)


def is_agent_held() -> ColumnElement[bool]:
    """Return the condition for mandates whose agent is under an active hold."""
    agent = func.replace(MANDATE.c.agent, "subject:", "", type_=String)
    return is_held(literal(str(SubjectKind.USER)), agent, literal(None, String))


def name_columns(table: Table) -> tuple[ColumnElement[str], ColumnElement[str], ColumnElement[str | None]]:
    """Return kind, id and tenant of the subject of a table's rows; of an order for all contacts it is the company."""
    if table is ORDER:
        kind = case((ORDER.c.contact_id.is_(None), str(SubjectKind.TENANT)), else_=str(SubjectKind.CONTACT))
        return kind, func.coalesce(ORDER.c.contact_id, ORDER.c.tenant), ORDER.c.tenant
    return table.c.subject_kind, table.c.subject_id, table.c.tenant


def is_held(
    kind: ColumnElement[str], identifier: ColumnElement[str], tenant: ColumnElement[str | None]
) -> ColumnElement[bool]:
    """Return the condition for rows of a table whose subject, in these columns, is under an active hold."""
    same = (HOLD.c.subject_kind == kind, HOLD.c.subject_id == identifier)
    same_tenant = func.coalesce(HOLD.c.tenant, "") == func.coalesce(tenant, "")
    return select(HOLD.c.id).where(*same, same_tenant, stands()).correlate_except(HOLD).exists()
