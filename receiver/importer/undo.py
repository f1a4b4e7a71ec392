"""Undoes an import by its id: rows that it made are removed, values that it replaced are restored.

A value that was changed here since then stays, and is listed. Each batch is one transaction with its part of the
journal: after a kill the same command continues.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Connection, Engine, Insert, Row, Table, Update, delete, insert, select, update

from exporters.reference import schema
from portability.api import JSON
from portability.api.storages import Storage
from receiver.binding.tables import STORAGE_KEY
from receiver.faults import UnknownImport
from receiver.importer.database import Batch, batches, check_present
from receiver.importer.exact_rows import delete_rows, never_replacing, written_rows
from receiver.importer.files import is_needed, removed
from receiver.importer.stored_forms import restorable
from receiver.importer.stored_rows import stored_rows
from receiver.importer.values import is_same
from receiver.ledger import feeds, pending_files, runs
from receiver.ledger.seals import JournalKey
from receiver.ledger.tables import CHANGE, ID, RUN, create, exist

BATCH = 500
EXAMPLES = 100
Values = Mapping[str, Any]
Rows: TypeAlias = dict[tuple[str, str], dict[str, Any] | None]
"""By table and id; None: the row is not stored, or is to be removed."""


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row that was changed here after the import: these columns stay, or the whole row."""

    table: str
    id: str
    fields: tuple[str, ...]
    action: str
    """`new`: the row stays; `changed`: its columns stay."""


@dataclass(slots=True)
class UndoReport:
    """The result of undoing an import."""

    import_id: str
    target: str
    dry_run: bool = False
    removed: int = 0
    restored: int = 0
    files: int = 0
    """Files that were deleted from the storage."""
    conflicts: int = 0
    kept: list[KeptRow] = field(default_factory=list)
    """The first rows with later local changes; all are counted in `conflicts`."""

    def as_json(self) -> Mapping[str, JSON]:
        return {
            "import": self.import_id,
            "target": self.target,
            "dry_run": self.dry_run,
            "removed": self.removed,
            "restored": self.restored,
            "files": self.files,
            "conflicts": self.conflicts,
            "kept": [
                {"table": one.table, "id": one.id, "fields": list(one.fields), "action": one.action}
                for one in self.kept
            ],
        }


def undo(
    engine: Engine,
    import_id: str,
    key: JournalKey,
    *,
    storage: Storage | None = None,
    dry_run: bool = False,
    progress: Callable[[int], object] = lambda _: None,
    ending: Callable[[UndoReport], object] = lambda _: None,
) -> UndoReport:
    """Undo an import in a database of `opened`.

    `progress` is called with a number of entries; `ending` with the whole report, before the import is forgotten.

    Raises: UnknownImport if there is no such import, its journal is deleted, another key made it, or another process
    has undone it meanwhile; FeedGap if a later archive of its feed is imported; BadTarget if a table is gone;
    BadInput without the storage of files that no row needs.
    """
    with batches(engine, dry_run=dry_run) as batch:
        with batch() as connection:
            target = _target(connection, import_id)
            feeds.check_last(connection, import_id)
            report = UndoReport(import_id, target, dry_run=dry_run)
            key.cipher(connection, target)  # another key is an error before anything is changed
            check_present(connection, runs.tables_of(connection, import_id))
            if not storage:
                pending_files.check_none(connection, RUN.c.id == import_id)
            runs.begin_undo(connection, import_id)
        work = _Undo(batch, report, key, storage)
        while work.step():
            progress(BATCH)
        work.delete_pending()
        ending(report)
        with batch() as connection:
            work.forget_run(connection)
    return report


def _target(connection: Connection, import_id: str) -> str:
    if not exist(connection):
        raise UnknownImport("no import was made into this database")
    found = connection.execute(select(RUN.c.target, RUN.c.state).where(RUN.c.id == import_id)).one_or_none()
    if found is None:
        raise UnknownImport(f"there is no import {import_id} in this database")
    if found.state == runs.EXPIRED:
        raise UnknownImport(f"the journal of import {import_id} is deleted: its time is over", hint="")
    create(connection)  # an earlier release has made fewer columns
    return str(found.target)


class _Undo:
    def __init__(self, batch: Batch, report: UndoReport, key: JournalKey, storage: Storage | None) -> None:
        self._batch = batch
        self._report = report
        self._key = key
        self._storage = storage
        self._before: int | None = None
        """Entries from this number on are done; those that conflict stay until the end."""
        self._staying: set[tuple[str, str]] = set()
        """Rows that stay although the import made them."""

    def step(self) -> bool:
        """Undo the newest entries; returns whether there were any."""
        orphans: dict[int, str] = {}
        with self._batch() as connection:
            self._recall(connection)
            cipher = self._key.cipher(connection, self._report.target)
            query = select(CHANGE).where(CHANGE.c.run == self._report.import_id).order_by(CHANGE.c.seq.desc())
            if self._before is not None:
                query = query.where(CHANGE.c.seq < self._before)
            entries = connection.execute(query.limit(BATCH)).all()
            rows = _current(connection, entries)
            undone = {
                entry.seq
                for entry in entries
                if self._undo(connection, entry, cipher.open(entry.sealed), rows, orphans)
            }
            undone -= self._delete(connection, entries, rows)
            # A kill before its file is deleted leaves the entry.
            connection.execute(delete(CHANGE).where(CHANGE.c.seq.in_(undone - orphans.keys())))
            self._note(connection)
        # After the commit: a row never leads to a file that is deleted.
        with self._batch() as connection:
            self._recall(connection)
            self._delete_files(connection, orphans.values())
            connection.execute(delete(CHANGE).where(CHANGE.c.seq.in_(undone & orphans.keys())))
            self._note(connection)
        if entries:
            self._before = entries[-1].seq
        return bool(entries)

    def delete_pending(self) -> None:
        """Delete the files of batches that were rolled back."""
        with self._batch() as connection:
            self._recall(connection)
            which = RUN.c.id == self._report.import_id
            keys = pending_files.of(connection, which)
            self._delete_files(connection, keys)
            pending_files.forget(connection, which, keys)
            self._note(connection)

    def _delete(self, connection: Connection, entries: Sequence[Row[Any]], rows: Rows) -> set[int]:
        """Delete the rows that are to be removed, the newest table first; returns the entries of those that stay."""
        staying: set[int] = set()
        for name in dict.fromkeys(entry.name for entry in entries):
            # The last entry of a row is the oldest: the one that made it.
            gone = {one.local_id: one for one in entries if one.name == name and not rows[name, one.local_id]}
            for identifier in delete_rows(connection, schema.metadata.tables[name], gone):
                self._report.removed -= 1
                self._keep(gone[identifier], ())
                staying.add(gone[identifier].seq)
        return staying

    def _undo(
        self,
        connection: Connection,
        entry: Row[Any],
        values: Mapping[str, Values],
        rows: Rows,
        orphans: dict[int, str],
    ) -> bool:
        """Undo one entry, in `rows` too; returns whether it is done, and not kept because of a later change.

        `orphans` gets the file of the entry, which may have no row any more. An undo that was killed may have restored
        some values: those are as they were before.
        """
        table, place = schema.metadata.tables[entry.name], (entry.name, entry.local_id)
        row = rows[place]
        if entry.action == "deleted":
            return self._put_back(connection, entry, values, rows)
        if entry.action == "seen":
            return True
        after, before = values["after"], values["before"]
        if key := after.get(STORAGE_KEY):
            orphans[entry.seq] = key
        if not row:  # it is gone already
            return True
        left = {name: value for name, value in before.items() if not is_same(table.c[name], row[name], value)}
        kept = after.keys() - (before.keys() - left.keys())
        edited = tuple(name for name in after if name in kept and not is_same(table.c[name], row[name], after[name]))
        if entry.action == "new":
            if edited:
                return self._keep(entry, edited)
            rows[place] = None
            self._report.removed += 1
        else:
            restored = {name: value for name, value in left.items() if name not in edited}
            change = update(table).where(table.c.id == entry.local_id)
            refused = _not_written(connection, table, change, entry.local_id, restored, values.get("forms", {}))
            if restored.keys() - refused:
                row.update({name: value for name, value in restored.items() if name not in refused})
                self._report.restored += 1
            if edited or refused:
                return self._keep(entry, (*edited, *refused))
        return True

    def _put_back(self, connection: Connection, entry: Row[Any], values: Mapping[str, Values], rows: Rows) -> bool:
        """Insert a deleted row again, without its file; a row that was made here since then stays."""
        if rows[entry.name, entry.local_id] is not None:
            return self._keep(entry, ())
        table, forms = schema.metadata.tables[entry.name], values.get("forms", {})
        before = {name: None if name == STORAGE_KEY else value for name, value in values["before"].items()}
        if _not_written(connection, table, insert(table), entry.local_id, before, forms):
            return self._keep(entry, ())
        made = (ID.c.target == entry.target, ID.c.issuer == entry.issuer, ID.c.name == entry.name)
        connection.execute(update(ID).where(*made, ID.c.local_id == entry.local_id).values(is_made=True))
        rows[entry.name, entry.local_id] = dict(before)
        self._report.restored += 1
        return True

    def _keep(self, entry: Row[Any], edited: Sequence[str]) -> bool:
        self._report.conflicts += 1
        if entry.action == "new":
            self._staying.add((entry.name, entry.local_id))
        if len(self._report.kept) < EXAMPLES:
            self._report.kept.append(KeptRow(entry.name, entry.local_id, tuple(edited), entry.action))
        return False

    def _recall(self, connection: Connection) -> None:
        """Take over what was undone until now: by a run that was killed, or by another process at the same time.

        Raises UnknownImport if another process has undone the rest.
        """
        for name, count in runs.undone_counts(connection, self._report.import_id).items():
            setattr(self._report, name, count)

    def _note(self, connection: Connection) -> None:
        """Note the counts for a run that continues; conflicts stay in the journal, and are counted again."""
        counts = {name: getattr(self._report, name) for name in ("removed", "restored", "files")}
        runs.note_undone(connection, self._report.import_id, counts)

    def _delete_files(self, connection: Connection, keys: Iterable[str]) -> None:
        """Delete files to which no row leads any more."""
        if self._storage:
            for key in dict.fromkeys(keys):
                if not is_needed(connection, key):
                    self._report.files += removed(self._storage, key, dry_run=self._report.dry_run)

    def forget_run(self, connection: Connection) -> None:
        """Delete the run and its ids; the ids of rows that stay remain, so that a later import finds them."""
        run = self._report.import_id
        connection.execute(delete(CHANGE).where(CHANGE.c.run == run))
        connection.execute(delete(RUN).where(RUN.c.id == run))
        feeds.forget(connection, run)
        is_used = connection.execute(select(RUN.c.id).where(RUN.c.target == self._report.target)).first()
        staying = []
        if is_used or self._staying:
            rows = connection.execute(select(ID).where(ID.c.run == run)).mappings()
            staying = [dict(row) for row in rows if row["is_bound"] or (row["name"], row["local_id"]) in self._staying]
        connection.execute(delete(ID).where(ID.c.run == run))
        if staying:
            connection.execute(insert(ID), staying)


def _not_written(
    connection: Connection, table: Table, statement: Insert | Update, identifier: str, values: Values, forms: Values
) -> Collection[str]:
    """Write the values of one row; returns the columns that do not have them now.

    A constraint or a trigger of the target may refuse the row, or set other values.
    """
    if not values:
        return ()
    dialect = connection.dialect.name
    typed = {name: restorable(table.c[name], value, forms, dialect) for name, value in values.items()}

    def write(_rows: object) -> None:
        connection.execute(never_replacing(statement).values(typed))

    written = written_rows(connection, table, {identifier: values}, (), write)
    return list(values) if identifier in written.refused else written.altered.get(identifier, ())


def _current(connection: Connection, entries: Sequence[Row[Any]]) -> Rows:
    """Return the stored rows that entries are about."""
    found: Rows = {(entry.name, entry.local_id): None for entry in entries}
    for name in {entry.name for entry in entries}:
        of = schema.metadata.tables[name]
        here = stored_rows(connection, of, [entry.local_id for entry in entries if entry.name == name])
        found.update(((name, identifier), row) for identifier, row in here.items())
    return found
