"""Instructions: a tenant's recorded orders to export what the platform processes for it (GDPR Art. 28(3)(a))."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from portability.api import SubjectKind
from portability.api.errors import BadInput
from portability.database import models
from portability.database.engine import now
from portability.errors import UnknownInstruction
from portability.people import subject_locks, subjects
from portability.people.subject_locks import SubjectName
from portability.trust import audit

TABLE = models.instruction


class Delivery(StrEnum):
    """Who receives the archive of a contact."""

    SUBJECT = "subject"
    """The contact, by a code at the verified address."""
    TENANT_ADMIN = "tenant_admin"
    """The tenant's administrator, who answers the contact."""


@dataclass(frozen=True, slots=True)
class Order:
    """The part of an instruction that a plan needs."""

    tenant: str
    contact_id: str | None
    exporters: frozenset[str] | None

    def opens(self, exporter: str, tenant: str, person: str) -> bool:
        """Return whether it allows this exporter's data of this contact, or this member of staff, of this tenant."""
        return (
            self.tenant == tenant
            and self.contact_id in {None, person}
            and (self.exporters is None or exporter in self.exporters)
        )


def add(
    connection: Connection,
    tenant: str,
    *,
    contact_id: str | None,
    exporters: Sequence[str] | None,
    actor: str,
    delivery: Delivery = Delivery.SUBJECT,
) -> str:
    """Record an instruction and return its id; an identical active instruction is not recorded again.

    `contact_id` None: every contact and member of staff of the tenant; `exporters` None: all.

    Raises: BadSubject, BadInput, ErasureRunning.
    """
    whom = _whom(tenant, contact_id)
    if exporters is not None and not exporters:
        raise BadInput("the instruction lists no exporter", hint="remove --include to cover all")
    subject_locks.exclude_erasure(connection, whom)
    names = sorted({*exporters}) if exporters else None
    return _record(connection, tenant, contact_id, names, actor=actor, delivery=delivery)


def lock(connection: Connection, tenant: str, people: Sequence[str]) -> None:
    """Take the locks of contacts before all other locks, and check that none is being erased.

    Raises: BadSubject, ErasureRunning.
    """
    whom = [_whom(tenant, person) for person in people]
    subject_locks.lock(connection, *whom)
    for subject in whom:
        subject_locks.check_not_erasing(connection, *subject)


def add_locked(connection: Connection, tenant: str, people: Sequence[str], *, actor: str) -> None:
    """Record an instruction for all data of each of these contacts, which `lock` has locked."""
    for person in people:
        _record(connection, tenant, person, None, actor=actor, delivery=Delivery.SUBJECT)


def _whom(tenant: str, contact_id: str | None) -> SubjectName:
    """Return the contact whom an instruction names, or the company if it is for all its contacts. Raises BadSubject."""
    if isinstance(contact_id, str):
        return subjects.parse(f"{SubjectKind.CONTACT}:{contact_id}", tenant)
    return subjects.parse(f"{SubjectKind.TENANT}:{tenant}", tenant)


def _record(
    connection: Connection,
    tenant: str,
    contact_id: str | None,
    names: list[str] | None,
    *,
    actor: str,
    delivery: Delivery,
) -> str:
    for row in standing(connection, tenant):
        if (row["contact_id"], row["exporters"], row["delivery"]) == (contact_id, names, delivery):
            return str(row["id"])
    identifier = f"ins_{secrets.token_hex(10)}"
    values = {"id": identifier, "tenant": tenant, "contact_id": contact_id, "exporters": names, "delivery": delivery}
    connection.execute(insert(TABLE).values(**values, created_by=actor, created_at=now()))
    audit.record(connection, "instruction.added", actor=actor, detail={"instruction": identifier, "tenant": tenant})
    return identifier


def get(connection: Connection, identifier: str) -> RowMapping:
    """Return the instruction's row, also a withdrawn one. Raises UnknownInstruction."""
    row = connection.execute(select(TABLE).where(TABLE.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise unknown(identifier)
    return row


def unknown(identifier: str) -> UnknownInstruction:
    """Return the error about an id that no instruction has, or one that the actor may not see."""
    return UnknownInstruction(f"no instruction has the id {identifier!r}")


def withdraw(connection: Connection, identifier: str, *, actor: str) -> None:
    """Withdraw an instruction; exports that begin later ignore it. Raises UnknownInstruction."""
    ended = update(TABLE).where(TABLE.c.id == identifier, TABLE.c.withdrawn_at.is_(None))
    if connection.execute(ended.values(withdrawn_at=now(), withdrawn_by=actor)).rowcount == 0:
        raise UnknownInstruction(f"no active instruction has the id {identifier!r}")
    audit.record(connection, "instruction.withdrawn", actor=actor, detail={"instruction": identifier})


def rows(connection: Connection, tenant: str | None = None) -> Sequence[RowMapping]:
    """Return all instructions, withdrawn instructions too, oldest first."""
    return connection.execute(_chosen(tenant)).mappings().all()


def standing(connection: Connection, tenant: str | None = None) -> Sequence[RowMapping]:
    """Return the instructions that are not withdrawn."""
    return connection.execute(_chosen(tenant).where(TABLE.c.withdrawn_at.is_(None))).mappings().all()


def orders(connection: Connection) -> tuple[Order, ...]:
    """Return the active instructions in the form for a plan."""
    return tuple(
        Order(row["tenant"], row["contact_id"], None if row["exporters"] is None else frozenset(row["exporters"]))
        for row in standing(connection)
    )


def _chosen(tenant: str | None) -> Select[Any]:
    query = select(TABLE).order_by(TABLE.c.created_at, TABLE.c.id)
    return query.where(TABLE.c.tenant == tenant) if isinstance(tenant, str) else query
