"""Writes rows of one dataset in batches: bound to the target, merged with what is here, and entered in the journal.

Each batch is one transaction with its journal and its ids: after a kill at any moment the same import continues.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import Connection, Table, update

from receiver.binding.columns import PROOFS, RULES, ColumnUse
from receiver.binding.rows import BoundRows, RowBinder
from receiver.binding.tables import STORAGE_KEY
from receiver.binding.target import ImportTarget
from receiver.importer.differences import Differences
from receiver.importer.exact_rows import RowRefusal, WrittenRows, never_replacing, written_rows
from receiver.importer.new_rows import NewRows
from receiver.importer.report import ConflictingRecord, DatasetResult, RefusedRecord
from receiver.importer.stored_forms import stored_forms
from receiver.importer.stored_rows import stored_rows
from receiver.importer.values import bindable, is_same
from receiver.ledger.identifiers import IdMap, MapScope
from receiver.ledger.journal import RowEntry, RowJournal
from receiver.ledger.merge import MergedRow, OnConflict, merge
from receiver.ledger.seals import JournalCipher

BATCH_ROWS = 5_000
BATCH_BYTES = 4 << 20

Values: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WriteJob:
    """What all datasets of an import share."""

    target: ImportTarget
    scope: MapScope
    cipher: JournalCipher
    on_conflict: OnConflict
    batch: Callable[[], AbstractContextManager[Connection]]
    """Opens the transaction of a batch."""
    differences: Differences
    plain: Collection[str] = ()
    """Tables that are as the reference schema makes them, and are on PostgreSQL."""
    narrow: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By table: columns whose type is another than the schema's."""
    newer: Collection[str] = ()
    """Imports whose archives are of a later time than this archive."""


class Writer:
    """Collects rows of one dataset and writes them in batches."""

    def __init__(
        self,
        job: WriteJob,
        table: Table,
        taken: DatasetResult,
        accepted: Callable[[list[str]], None],
        around: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._job = job
        self._table = table
        self._taken = taken
        self._dataset = f"{taken.exporter}/{taken.dataset}"
        self._rules = RULES[self._dataset]
        self._narrow = job.narrow.get(table.name, ())
        self._inserts = NewRows(table, self._rules, self._narrow, is_plain=table.name in job.plain)
        self._accepted = accepted
        """Called with the archive's ids of each batch whose rows have the archive's file now."""
        self._around = around
        """Entered before the transaction of each batch, and left after it."""
        self._rows: dict[str, tuple[int, Values]] = {}
        self._bytes = 0

    def add(self, line: int, values: Values, size: int) -> None:
        """Add a row with the archive's ids; `size` is its approximate size in memory."""
        if values["id"] in self._rows:
            self.flush()
        self._rows[values["id"]] = line, values
        self._bytes += size
        if len(self._rows) >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the collected rows in one transaction."""
        if not self._rows:
            return
        with self._around(), self._job.batch() as connection:
            ids = IdMap(connection, self._job.scope)
            binder = RowBinder(connection, self._job.target, ids, self._dataset, self._table)
            bound = binder.bind({identifier: values for identifier, (_line, values) in self._rows.items()})
            refused = _BoundBatch(connection, self, ids, binder, bound).write()
            ids.write()
            for identifier, refusal in refused.items():
                line, _values = self._rows[identifier]
                self._taken.refuse(RefusedRecord(line, identifier, refusal.column, refusal.reason))
            quarantined = bound.quarantined
            for identifier, place in quarantined.items():
                line, values = self._rows[identifier]
                self._taken.refuse(RefusedRecord(line, identifier, place.field, place.reason))
                self._job.differences.quarantined(self._dataset, values, place)
        self._rows, self._bytes = {}, 0


class _Merge(NamedTuple):
    """A row that is here, the archive's values that may change it, and what becomes of both."""

    identifier: str
    merged: MergedRow
    base: Values
    ours: Values
    theirs: Values


class _BoundBatch:
    """One batch of bound rows, in its transaction."""

    def __init__(self, connection: Connection, writer: Writer, ids: IdMap, binder: RowBinder, bound: BoundRows) -> None:
        self._connection = connection
        self._job = writer._job  # noqa: SLF001  # a part of the writer
        self._table = writer._table  # noqa: SLF001  # as above
        self._taken = writer._taken  # noqa: SLF001  # as above
        self._rules = writer._rules  # noqa: SLF001  # as above
        self._narrow = writer._narrow  # noqa: SLF001  # as above
        self._inserts = writer._inserts  # noqa: SLF001  # as above
        self._accepted = writer._accepted  # noqa: SLF001  # as above
        self._dataset = writer._dataset  # noqa: SLF001  # as above
        self._ids = ids
        self._binder = binder
        self._bound = bound
        self._journal = RowJournal(connection, self._job.scope, self._job.cipher, self._table)
        self._new: dict[str, Values] = {}
        self._made: dict[str, str] = {}
        """Ids of the new rows by the archive's ids."""
        self._merged: dict[str, _Merge] = {}
        """Rows that are here, by the archive's ids."""
        self._changed: dict[str, Values] = {}
        self._before: dict[str, Values] = {}
        self._forms: Mapping[str, Values] = {}
        """The values of `_before` in the database's own form."""
        self._theirs: dict[str, Values] = {}
        self._with_file: list[str] = []
        """The archive's ids."""

    def write(self) -> Mapping[str, RowRefusal]:
        """Write rows, files, ids and journal; returns the rows that the target refuses, by the archive's ids."""
        name, rows = self._table.name, self._bound.rows
        local = [values["id"] for foreign, values in rows.items() if not self._ids.is_new(name, foreign)]
        stored = stored_rows(self._connection, self._table, local)
        bases = self._journal.bases(local)
        made = self._ids.made(name, local)
        newer = self._journal.of_runs(local, self._job.newer)
        for foreign, values in list(rows.items()):
            row = stored.get(values["id"])
            if row and (place := self._binder.misplaced(row)):
                self._bound.quarantined[foreign] = place
                del rows[foreign]
            elif values["id"] in newer:
                self._leave(foreign, values, row or {})
            elif row:
                self._merge(foreign, values, row, bases.get(values["id"], {}))
            else:
                self._add(foreign, values, was_made=values["id"] in made)
        self._forms = stored_forms(self._connection, self._table, self._changed)
        inserted, changed = self._inserts.insert(self._connection, self._new), self._changed_rows()
        refused = {**inserted.refused, **changed.refused}
        self._count(refused, {**inserted.altered, **changed.altered})
        self._ids.note_made(name, {foreign: one for foreign, one in self._made.items() if one not in refused})
        self._note(bases, {**inserted.stored, **changed.stored}, refused)
        self._accepted(self._with_file)
        return {foreign: refused[values["id"]] for foreign, values in rows.items() if values["id"] in refused}

    def _leave(self, foreign: str, values: Values, row: Values) -> None:
        """Leave a row as it is, which an archive of a later time has brought, changed or deleted."""
        if row and all(self._is_same(name, row[name], value) for name, value in values.items()):
            self._taken.same += 1
            self._with_file.append(foreign)
        else:
            self._taken.kept += 1
            self._taken.older += 1

    def _add(self, foreign: str, values: Values, *, was_made: bool) -> None:
        """Make a row, unless an earlier import made it and it was deleted here."""
        identifier = values["id"]
        self._theirs[identifier] = values
        if was_made:
            self._taken.conflict(ConflictingRecord(identifier, (), is_deleted=True))
            self._job.differences.deleted(self._dataset, identifier)
            if self._job.on_conflict is not OnConflict.TAKE:
                self._taken.kept += 1
                return
        self._new[identifier] = self._inserts.whole(values)
        self._made[foreign] = identifier

    def _merge(self, foreign: str, values: Values, row: Values, base: Values) -> None:
        identifier = values["id"]
        theirs = {name: value for name, value in values.items() if self._may_change(name, values, row)}
        # An earlier import without storage has brought no file: this is not a local change.
        merged = merge({STORAGE_KEY: None, **base}, row, theirs, self._is_same, self._job.on_conflict)
        # What stays in conflict is not settled: its base stays, too, and the next import names it again.
        settled = {
            name: value for name, value in theirs.items() if name not in merged.conflicts or name in merged.taken
        }
        self._theirs[identifier] = {**{name: base[name] for name in merged.conflicts if name in base}, **settled}
        for address, proof in PROOFS.items():
            if address in _left(merged):
                merged.taken.pop(proof, None)  # their verification is not about the address that stays
        if merged.taken:
            self._changed[identifier] = merged.taken
            self._before[identifier] = {name: row[name] for name in merged.taken}
        self._merged[foreign] = _Merge(identifier, merged, base, row, theirs)

    def _count(self, refused: Collection[str], altered: Mapping[str, Collection[str]]) -> None:
        """Count what was done, without the rows that the target refuses."""
        taken = self._taken
        for foreign, identifier in self._made.items():
            if identifier not in refused:
                taken.new += 1
                self._with_file.append(foreign)
                self._job.differences.new(self._dataset, identifier, self._theirs[identifier])
        for foreign, one in self._merged.items():
            if one.identifier not in refused:
                self._count_merged(foreign, one)
        taken.altered += len(altered)
        taken.altered_fields.update(*altered.values())

    def _count_merged(self, foreign: str, one: _Merge) -> None:
        taken, merged = self._taken, one.merged
        if merged.conflicts:
            taken.conflict(ConflictingRecord(one.identifier, tuple(sorted(merged.conflicts))))
        if merged.taken:
            taken.changed += 1
        elif merged.kept or merged.conflicts:
            taken.kept += 1
        else:
            taken.same += 1
        if STORAGE_KEY not in _left(merged):
            self._with_file.append(foreign)
        self._job.differences.changed(self._dataset, one.identifier, merged, one.base, one.ours, one.theirs)

    def _may_change(self, name: str, values: Values, row: Values) -> bool:
        if self._rules.columns.get(name) is ColumnUse.INITIAL:
            proof = PROOFS.get(name, "")
            # An address that a mapping brings together with its verification replaces the one that is here.
            return proof in values
        proof = PROOFS.get(name, "")
        return proof not in row or proof in values or row[proof] is None

    def _is_same(self, name: str, one: object, other: object) -> bool:
        return is_same(self._table.c[name], one, other)

    def _changed_rows(self) -> WrittenRows:
        """Write the changes; returns the rows as they are stored, and those that the target refuses."""
        return written_rows(self._connection, self._table, self._changed, self._narrow, self._update)

    def _update(self, rows: Mapping[str, Values]) -> None:
        for identifier, values in rows.items():
            bound = {name: bindable(self._table.c[name], value) for name, value in values.items()}
            change = update(self._table).where(self._table.c.id == identifier).values(bound)
            self._connection.execute(never_replacing(change))

    def _note(self, bases: Mapping[str, Values], written: Mapping[str, Values], refused: Collection[str]) -> None:
        """Enter what the rows are now: the next import compares with it, and undoing restores from it."""
        entries: list[RowEntry] = []
        for identifier, theirs in self._theirs.items():
            if identifier in refused:
                continue
            if identifier in self._new:
                entries.append(RowEntry(identifier, "new", theirs, {}, written[identifier]))
                continue
            taken = self._changed.get(identifier, {})
            after = {name: written[identifier][name] for name in taken}
            if taken or not self._is_known(bases.get(identifier, {}), theirs):
                action, before = "changed" if taken else "seen", self._before.get(identifier, {})
                entries.append(RowEntry(identifier, action, theirs, before, after, self._forms.get(identifier, {})))
        self._journal.add(entries, {values["id"]: values for values in self._bound.rows.values()})

    def _is_known(self, earlier: Values, base: Values) -> bool:
        return all(name in earlier and self._is_same(name, earlier[name], value) for name, value in base.items())


def _left(merged: MergedRow) -> set[str]:
    """Return the columns whose local value stays."""
    return {*merged.kept, *merged.conflicts} - merged.taken.keys()
