"""Forgets what the platform's database remembers of the imports for a person or company, such as at an erasure."""

from __future__ import annotations

from portability.api import SubjectKind
from receiver.binding.target import ImportTarget
from receiver.importer.database import opened
from receiver.ledger import runs
from receiver.ledger.journal import person_of


def forget_imports(into: str, kind: str, identifier: str, tenant: str | None) -> int:
    """Delete journal, key and ids of a subject; returns the number of entries. Imported rows stay.

    A kind of subject that imports do not know has none. Raises BadTarget, TargetUnavailable.
    """
    match kind:
        case SubjectKind.TENANT:
            return forget_target_of(into, ImportTarget(tenant=identifier))
        case SubjectKind.USER:
            return forget_target_of(into, ImportTarget(user=identifier))
        case SubjectKind.CONTACT:
            return forget_target_of(into, ImportTarget(tenant=tenant, contact=identifier))
        case SubjectKind.EMAIL:
            return forget_target_of(into, ImportTarget(email=identifier))
        case _:
            return 0


def forget_target_of(into: str, target: ImportTarget) -> int:
    """Delete journal, key and ids of a target, and what journals of companies have of a person.

    Raises: BadTarget, TargetUnavailable.
    """
    people = {"users": target.user, "contacts": target.contact}
    person = next((person_of(table, {"id": value}) for table, value in people.items() if value), None)
    with opened(into, make=False, is_checked=False) as engine, engine.begin() as connection:
        return runs.forget(connection, target.name, person)
