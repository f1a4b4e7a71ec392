"""Forgets what the platform's database remembers of the imports for a person or company, such as at an erasure."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeAlias

from portability.api import SubjectKind
from portability.api.storages import Storage
from portability.people.subject_locks import SubjectName
from receiver.binding.target import ImportTarget
from receiver.importer.database import batches, opened
from receiver.importer.files import delete_left
from receiver.ledger import pending_files, runs
from receiver.ledger.journal import person_of
from receiver.ledger.tables import RUN, exist

OpenStorage: TypeAlias = Callable[[], Storage | None]
"""Opens the storage of imported files; None: it is not known. Raises StorageError."""


def forget_imports(
    into: str,
    subject: SubjectName,
    files: OpenStorage = lambda: None,
    *,
    waits: Callable[[str], object] = lambda _: None,
) -> int:
    """Delete journal, key and ids of a subject; returns the number of entries. Imported rows stay.

    A kind of subject that imports do not know has none. Raises as `forget_target_of`.
    """
    kind, identifier, tenant = subject
    targets = {
        SubjectKind.TENANT: ImportTarget(tenant=identifier),
        SubjectKind.USER: ImportTarget(user=identifier),
        SubjectKind.CONTACT: ImportTarget(tenant=tenant, contact=identifier),
        SubjectKind.EMAIL: ImportTarget(email=identifier),
    }
    target = targets.get(SubjectKind(kind))
    return forget_target_of(into, target, files, waits=waits) if target else 0


def forget_target_of(
    into: str,
    target: ImportTarget,
    files: OpenStorage = lambda: None,
    *,
    waits: Callable[[str], object] = lambda _: None,
) -> int:
    """Delete journal, key and ids of a target, what companies' journals have of a person, and files of killed batches.

    `files` opens the storage of the imports, if there are such files. `waits` is called once with a sentence if an
    import is waited for: what its batch writes at this time would be left.

    Raises: BadTarget, TargetUnavailable; StorageError; BadInput without the storage of such files.
    """
    people = {"users": target.user, "contacts": target.contact}
    person = next((person_of(table, {"id": value}) for table, value in people.items() if value), None)
    mine = RUN.c.target == target.name
    with ExitStack() as stack:
        engine = stack.enter_context(opened(into, make=False, is_checked=False, waits=waits))
        batch = stack.enter_context(batches(engine, dry_run=False))
        connection = stack.enter_context(batch())
        if exist(connection) and pending_files.of(connection, mine) and (storage := files()):
            delete_left(connection, storage, mine, forget_absent=True)
        return runs.forget(connection, target.name, person)
