"""Binds the records of one dataset to the target: every row that an import writes belongs to the target.

Ids of the archive become local ids. A record that belongs to another company or person, or to none, is quarantined.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Table, select

from exporters.reference import schema
from portability.api.tags import SubjectKind
from portability.people.folding import fold
from receiver.binding.columns import CONTACTS, ORGANISATIONS, REFERENCES, RULES, USERS
from receiver.binding.tables import TABLES
from receiver.binding.target import ImportTarget
from receiver.ledger.bulk import among
from receiver.ledger.identifiers import IdMap

Values = Mapping[str, Any]
ID_CHARACTERS = 512
"""Longest id: the databases' indexes do not take longer keys."""


class Unbound(StrEnum):
    """Why a record is quarantined: it may be right, but it has no place within the target."""

    ANOTHER_TENANT = "another_tenant"
    ANOTHER_SUBJECT = "another_subject"
    NO_TENANT = "no_tenant"
    NO_PARENT = "no_parent"
    ID_TOO_LONG = "id_too_long"


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A record without a place, and the field that decides it."""

    field: str
    reason: Unbound


@dataclass(slots=True)
class BoundRows:
    """Rows with local ids, and the others; both by the archive's id."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    quarantined: dict[str, Quarantine] = field(default_factory=dict)


class RowBinder:
    """Binds rows of one dataset, in the caller's transaction."""

    def __init__(self, connection: Connection, target: ImportTarget, ids: IdMap, dataset: str, table: Table) -> None:
        self._connection = connection
        self._target = target
        self._ids = ids
        self._rules = RULES[dataset]
        self._table = table
        self._kind = target.kind
        self._tenant = _column(table, ORGANISATIONS, "tenant_id")
        self._person = _person_column(self._kind, table)
        self._links = [name for name in ("id", *REFERENCES) if name in table.c]
        self._optional = {name for name in self._links if table.c[name].nullable}
        self._is_of_address = self._kind is SubjectKind.EMAIL and "email" in table.c
        self._pins: dict[str, str | None] = {}
        """The archive's own id of the target, by table; a record names it first."""

    def bind(self, rows: Mapping[str, Values]) -> BoundRows:
        """Bind rows, by the archive's ids, whose values have the types of their columns."""
        bound = BoundRows()
        for identifier, values in rows.items():
            found = self._placed(dict(values))
            if isinstance(found, Quarantine):
                bound.quarantined[identifier] = found
            else:
                bound.rows[identifier] = found
        self._translate(bound)
        self._check_parents(bound)
        return bound

    def misplaced(self, stored: Values) -> Quarantine | None:
        """Return why a stored row is not the target's; None: it is."""
        return _misplaced(self._target, self._table, stored)

    def _placed(self, values: dict[str, Any]) -> dict[str, Any] | Quarantine:
        """Return the row with the target's own ids."""
        for name in self._links:
            value = values.get(name)
            if isinstance(value, str) and len(value) > ID_CHARACTERS:
                return Quarantine(name, Unbound.ID_TOO_LONG)
        return self._of_tenant(values) or self._of_person(values) or values

    def _of_tenant(self, values: dict[str, Any]) -> Quarantine | None:
        column, own = self._tenant, self._target.tenant
        if not column:
            return None
        foreign, is_optional = values.get(column), column in self._optional
        if own is None or (foreign is None and is_optional):
            values[column] = None
            return None if is_optional else Quarantine(column, Unbound.NO_TENANT)
        if foreign is None or not self._is_pinned(ORGANISATIONS, foreign, own):
            return Quarantine(column, Unbound.ANOTHER_TENANT)
        values[column] = own
        return None

    def _of_person(self, values: dict[str, Any]) -> Quarantine | None:
        if self._is_of_address:
            is_own = values.get("user_id") is None and fold(values.get("email") or "") == fold(self._target.email or "")
            values["user_id"] = None
            return None if is_own else Quarantine("email", Unbound.ANOTHER_SUBJECT)
        if not self._person:
            return None
        name, own = _person(self._target)
        foreign = values.get(self._person)
        if foreign is not None and not self._is_pinned(name, foreign, own):
            return Quarantine(self._person, Unbound.ANOTHER_SUBJECT)
        values[self._person] = own
        return None

    def _is_pinned(self, name: str, foreign: str, own: str) -> bool:
        """Return whether this is the archive's id of the target: that of its first record."""
        if name not in self._pins:
            self._pins[name] = self._ids.bound(name)
        if self._pins[name] is None and foreign not in self._ids.known(name, [foreign]):
            self._ids.bind(name, foreign, own)
            self._pins[name] = foreign
        return self._pins[name] == foreign

    def _translate(self, bound: BoundRows) -> None:
        """Replace all other ids by local ids."""
        own = {self._tenant, self._person}
        for name in self._links:
            if name in own:
                continue
            of = self._table.name if name == "id" else REFERENCES[name]
            used = {values[name] for values in bound.rows.values() if isinstance(values.get(name), str)}
            local = self._local(of, used)
            for identifier, values in list(bound.rows.items()):
                if isinstance(values.get(name), str):
                    values[name] = local.get(values[name])
                    if values[name] is None and name not in self._optional:
                        bound.quarantined[identifier] = Quarantine(name, Unbound.NO_PARENT)
                        del bound.rows[identifier]

    def _local(self, name: str, foreign: Collection[str]) -> Mapping[str, str]:
        if name == USERS:
            return self._ids.local(None, name, foreign)
        if self._kind not in kinds_of(name):
            return {}  # an archive of this kind brings no such rows: the link would lead nowhere
        return self._ids.local(schema.metadata.tables[name], name, foreign)

    def _check_parents(self, bound: BoundRows) -> None:
        """Quarantine parts of rows that are not the target's. A company may have parts whose whole is missing."""
        column = self._rules.parent
        if not column:
            return
        parent = schema.metadata.tables[REFERENCES[column]]
        used = {values[column] for values in bound.rows.values() if values.get(column)}
        query = select(parent).where(among(self._connection, parent.c.id, used))
        found = self._connection.execute(query).mappings() if used else ()
        stored = {row["id"]: _misplaced(self._target, parent, dict(row)) for row in found}
        missing = None if self._kind is SubjectKind.TENANT else Quarantine(column, Unbound.NO_PARENT)
        for identifier, values in list(bound.rows.items()):
            fault = stored.get(values.get(column), missing)
            if fault is not None:
                bound.quarantined[identifier] = Quarantine(column, fault.reason)
                del bound.rows[identifier]


def kinds_of(table: str) -> frozenset[SubjectKind]:
    """Return the kinds of archives that may bring rows of a table."""
    return _KINDS[table]


_KINDS = {table.name: RULES[f"{exporter}/{dataset}"].kinds for (exporter, dataset), table in TABLES.items()}


def _person(target: ImportTarget) -> tuple[str, str]:
    """Return the table and the id of the target's person."""
    return (CONTACTS, target.contact) if target.contact else (USERS, target.user or "")


def _column(table: Table, own: str, link: str) -> str | None:
    if table.name == own:
        return "id"
    return link if link in table.c else None


def _person_column(kind: SubjectKind, table: Table) -> str | None:
    if kind is SubjectKind.USER:
        return _column(table, USERS, "user_id")
    return _column(table, CONTACTS, "contact_id") if kind is SubjectKind.CONTACT else None


def _misplaced(target: ImportTarget, table: Table, stored: Values) -> Quarantine | None:
    tenant, person = _column(table, ORGANISATIONS, "tenant_id"), _person_column(target.kind, table)
    if tenant is not None and stored[tenant] != target.tenant and not table.c[tenant].nullable:
        return Quarantine(tenant, Unbound.ANOTHER_TENANT)
    if person is not None and stored[person] != _person(target)[1]:
        return Quarantine(person, Unbound.ANOTHER_SUBJECT)
    if target.kind is SubjectKind.EMAIL and "email" in table.c:
        is_own = stored["user_id"] is None and fold(stored["email"] or "") == fold(target.email or "")
        return None if is_own else Quarantine("email", Unbound.ANOTHER_SUBJECT)
    return None
