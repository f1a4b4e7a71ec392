"""The closing marker: an object that names the closing volume of a revision, so that it is closed once.

Two primaries that do not know each other would both close a revision. Storage is the same for both: the second one
finds the marker of the first.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine, RowMapping

from portability.api.errors import ObjectMissing
from portability.api.storages import ConditionalStorage, Storage
from portability.database import deployment
from portability.errors import ControlError
from portability.journal import comparison
from worker.write import object_keys

SOON = timedelta(seconds=1)
DEAD_AFTER = timedelta(seconds=20)
"""Age from which a marker counts as a remnant: by then a clock has shipped the event of a closing to the journal."""


class RevisionClosed(ControlError):
    """Another history of the database has closed this revision: it lacks commits, or there are two primaries."""

    code = "revision_closed"
    retryable = True
    default_hint = "is there a second primary? `portability reconcile` restores lost commits"

    def __init__(self, message: str, *, retry_after: timedelta = SOON, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        """When another attempt can succeed: the marker is a remnant by then, unless there is a second primary."""


def place(engine: Engine, storage: Storage, row: RowMapping) -> None:
    """Mark the revision of a closing volume as closed by it; does nothing on a storage that cannot.

    Safe to call twice. The marker of a worker that died before its commit is replaced, once the journal shows that no
    other history has closed the revision. Raises: RevisionClosed; StorageError; DatabaseUnavailable.
    """
    if not isinstance(storage, ConditionalStorage):
        return
    marker = object_keys.closing_marker(row["export_id"], row["revision"])
    if _is_placed(storage, marker, row):
        return
    age = _age(engine, storage, marker)
    if comparison.settle(engine, storage) and age > DEAD_AFTER:
        storage.delete(marker)
        if _is_placed(storage, marker, row):
            return
    seen = f"revision {row['revision']} of export {row['export_id']} was closed by another worker"
    raise RevisionClosed(seen, retry_after=max(SOON, DEAD_AFTER - age))


def _is_placed(storage: ConditionalStorage, marker: str, row: RowMapping) -> bool:
    key: str = row["object_key"]
    return storage.create(marker, key.encode()) or _content(storage, marker) == key


def _age(engine: Engine, storage: Storage, marker: str) -> timedelta:
    try:
        return deployment.clock(engine) - storage.stat(marker).modified_at
    except ObjectMissing:
        return timedelta()


def remove(storage: Storage, row: RowMapping) -> None:
    """Delete the marker of a volume that is withdrawn, and no other volume's. Raises StorageError."""
    if row["slice"] or not isinstance(storage, ConditionalStorage):
        return  # slice 0 closes
    marker = object_keys.closing_marker(row["export_id"], row["revision"])
    if _content(storage, marker) == row["object_key"]:
        storage.delete(marker)


def _content(storage: Storage, marker: str) -> str | None:
    try:
        return b"".join(storage.read(marker)).decode(errors="replace")
    except ObjectMissing:
        return None
