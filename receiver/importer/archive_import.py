"""Imports an unpacked archive as the data of one target: in batches, by record id, repeatable, and reversible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet
from sqlalchemy import Connection, Table

from archive.parts import FORMS, NO_DATA
from portability.api.errors import BadInput
from portability.api.storages import Storage
from receiver.binding.columns import USERS
from receiver.binding.rows import kinds_of
from receiver.binding.tables import TABLES, absent, has_files, in_order
from receiver.binding.target import ImportTarget
from receiver.faults import ImportConflict, WrongTarget
from receiver.importer.contents import JSON_LINES, Contents
from receiver.importer.database import Batch, batches, check_here, opened, other_types, plain_tables
from receiver.importer.differences import Differences
from receiver.importer.files import delete_left
from receiver.importer.hooks import HookedDataset, Hooks
from receiver.importer.records import ImportedDataset, ImportJob, Progress
from receiver.importer.report import DatasetResult, Files, ImportReport, Left
from receiver.importer.tombstones import delete_gone
from receiver.importer.write import WriteJob
from receiver.ledger import feeds, runs
from receiver.ledger.identifiers import IdMap, MapScope
from receiver.ledger.merge import OnConflict
from receiver.ledger.seals import JournalKey
from receiver.ledger.tables import RUN

if TYPE_CHECKING:
    from portability.trust.signing import Jwks


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How an import is made."""

    storage: Storage | None = None
    """For recordings and attachments; None: they are not imported."""
    jwks: Jwks | None = None
    """With keys the signature of every volume is checked again."""
    journal_key: JournalKey | None = None
    """Required unless it is a dry run."""
    journal_days: int = 30
    """How long the import can be undone: then its journal is deleted. Of a repeated import the later end counts."""
    import_id: str | None = None
    """Chosen by a caller that repeats the call after a kill; None: a new id, or that of an import that did not end."""
    dry_run: bool = False
    on_conflict: OnConflict = OnConflict.KEEP
    difference: Callable[[str], object] | None = None
    """Gets lines of JSON with the difference by record and field."""
    hooks: Hooks = field(default_factory=dict)
    """For datasets that the reference schema does not know."""
    begun: Callable[[], object] = lambda: None
    """Called in the transaction that begins the run, at its turn: what it raises ends the import without a trace.

    Who forgets or undoes the import takes turns with it, so they come before this call, or find the run.
    """
    waits: Callable[[str], object] = lambda _: None
    """Gets a sentence if another import into the database is waited for."""
    started: Callable[[int], Progress] = lambda _: lambda _: None
    """Gets the number of bytes and returns a function that is called with each progress."""


def import_archive(
    folders: Sequence[Path], into: str, target: ImportTarget, options: ImportOptions = ImportOptions()
) -> ImportReport:
    """Import the records of the volumes that were unpacked into `folders` as those of the target, and their files.

    A dry run does the same in one transaction, which it rolls back. After an error or a kill, batches before it stay
    imported: the same import continues, and `undo` restores what was.

    Raises: BadInput, BadArchive, NotImportable, BadTarget, TargetUnavailable, WrongTarget, UndoUnfinished,
    OlderRevision, ImportConflict, ArchiveUnread, StorageError.
    """
    if not options.dry_run and options.on_conflict is OnConflict.FAIL:
        found = import_archive(folders, into, target, replace(options, dry_run=True, difference=None))
        if found.conflicts:
            raise ImportConflict(f"{found.conflicts} records were changed on both sides; nothing was imported")
    target.check_complete()
    with Contents(folders, options.jwks) as contents, ExitStack() as stack:
        target.check(contents.export)  # before a new database is made
        engine = stack.enter_context(opened(into, make=not options.dry_run, waits=options.waits))
        if options.storage is not None and not options.dry_run:
            options.storage.check()  # makes a new folder, and reports faults before any work
        with batches(engine, dry_run=options.dry_run) as batch:
            return _Import(contents, engine.dialect.name, target, options, batch).run()


class _Import:
    """One run of an import, in batches."""

    def __init__(
        self, contents: Contents, dialect: str, target: ImportTarget, options: ImportOptions, batch: Batch
    ) -> None:
        self._contents = contents
        self._dialect = dialect
        self._target = target
        self._options = options
        self._batch = batch
        export = contents.export
        gaps = export.get("gaps")
        self._report = ImportReport(
            str(export.get("export")),
            str(export["profile"]),
            complete=export.get("complete") is True,
            gaps=len(gaps) if isinstance(gaps, list) else 0,
            dry_run=options.dry_run,
            target=target.name,
        )

    def run(self) -> ImportReport:
        """Import every dataset that has a place."""
        report, options = self._report, self._options
        progress = options.started(self._contents.total_bytes)
        with self._batch() as connection:
            write = self._begun(connection)
            if write:
                options.begun()
        if write is None:
            report.is_repeated = True
            return report
        self._batch = write.batch
        if not options.dry_run:
            report.import_id = write.scope.run
        job = ImportJob(self._contents, write, self._dialect, options.storage, options.dry_run, progress)
        forms = {(exporter, dataset): types for exporter, dataset, types in self._contents.datasets()}
        for exporter, dataset in in_order(forms):
            table, kinds = TABLES.get((exporter, dataset)), forms[exporter, dataset]
            hook = options.hooks.get((exporter, dataset))
            if table is None and hook is not None and JSON_LINES in kinds:
                report.datasets.extend(HookedDataset(job, exporter, dataset, hook).run())
                continue
            if table is None or JSON_LINES not in kinds or self._target.kind not in kinds_of(table.name):
                report.left.extend(left(exporter, dataset, table, kinds))
                continue
            taken = DatasetResult(exporter, dataset, table.name, absent_columns=absent(table))
            taken.files = Files() if has_files(table) else None
            ImportedDataset(job, table, taken).run()
            report.datasets.append(taken)
        self._delete_gone(job)
        self._end(write.scope.run)
        return report

    def _end(self, run: str) -> None:
        """Note that everything is imported. A run that repeats an import and changes nothing is deleted."""
        report, options = self._report, self._options
        with self._batch() as connection:
            # A caller that has chosen the id looks for it later.
            repeated = None if options.import_id else runs.drop_repeated(connection, run)
            if repeated:
                report.is_repeated = True
                report.import_id = None if options.dry_run else repeated
            else:
                runs.end(connection, run)

    def _delete_gone(self, job: ImportJob) -> None:
        """Delete what an archive of a feed says is gone: parts before the rows that they are a part of."""
        changes = self._contents.changes
        if changes is None:
            return
        results = {(one.exporter, one.dataset): one for one in self._report.datasets}
        for name in reversed(in_order(changes.tombstones)):
            table = TABLES.get(name)
            if table is None:
                self._report.left.append(Left(*name, "its tombstones: the reference schema has no table for it"))
                continue
            if name not in results:
                results[name] = DatasetResult(*name, table.name, absent_columns=absent(table))
                self._report.datasets.append(results[name])
            delete_gone(job, changes, table, results[name])

    def _begun(self, connection: Connection) -> WriteJob | None:
        """Begin the run, or continue the run of this archive that was interrupted.

        None: this archive of a feed is imported already. Raises WrongTarget, FeedGap, UndoUnfinished, OlderRevision.
        """
        contents, options, target = self._contents, self._options, self._target
        export = contents.export
        subject, revision = export.get("subject"), export.get("revision")
        number = revision if type(revision) is int else 1
        source = runs.Source(contents.issuer, self._report.export, number, str(subject), contents.read_at)
        earlier = runs.subject_of(connection, target.name, source.issuer)
        if earlier not in {None, source.subject}:
            raise WrongTarget(
                "an earlier import into this target was about another subject of this issuer",
                hint="check the target; after `portability imports undo` or `forget` the target is free",
            )
        check_here(connection, target)
        newer = runs.newer(connection, target.name, source)
        scope = MapScope(target.name, contents.issuer, "")
        place = contents.changes.place if contents.changes else None
        if place and feeds.is_imported(connection, scope, place, newer):
            runs.keep_imported(connection, target.name, source, options.journal_days)
            return None
        runs.check_none_undoing(connection, target.name)
        runs.check_newest(connection, target.name, source)
        run = runs.begin(connection, target.name, source, options.journal_days, options.import_id)
        scope = replace(scope, run=run)
        if options.storage and not options.dry_run:
            delete_left(connection, options.storage, RUN.c.state == runs.EXPIRED, forget_absent=False)
        if place:
            feeds.note(connection, scope, place)
        key = options.journal_key
        if key is None:
            if not options.dry_run:
                raise BadInput("the import has no key for its journal", hint="give a journal key")
            key = JournalKey(Fernet.generate_key())
        cipher = key.cipher(connection, target.name)
        ids = IdMap(connection, scope)
        for foreign, local in target.people.items():
            if ids.known(USERS, [foreign]).get(foreign, local) != local:
                raise WrongTarget(
                    "an account of the archive is already mapped to another account", hint="undo the earlier import"
                )
            if foreign not in ids.known(USERS, [foreign]):
                ids.add(USERS, {foreign: local})
        ids.write()
        differences, plain = Differences(options.difference), plain_tables(connection)
        narrow = other_types(connection)
        batch = partial(_batch_of_run, self._batch, run)
        return WriteJob(target, scope, cipher, options.on_conflict, batch, differences, plain, narrow, newer)


@contextmanager
def _batch_of_run(batch: Batch, run: str) -> Iterator[Connection]:
    """Open the transaction of a batch of a run. Raises UnknownImport if the run is undone."""
    with batch() as connection:
        runs.check_kept(connection, run)
        yield connection


def left(exporter: str, dataset: str, table: Table | None, media_types: frozenset[str]) -> Iterator[Left]:
    """Yield why a dataset is not imported."""
    if (exporter, dataset) in {(NO_DATA.exporter, NO_DATA.dataset.name), (FORMS[0], FORMS[1].name)}:
        return  # the file that says that a volume contains no data, and copies of its records
    if media_types and all("vcon" in media_type for media_type in media_types):
        yield Left(exporter, dataset, "another form of imported records")
    elif table is not None and JSON_LINES in media_types:
        yield Left(exporter, dataset, "an archive about this kind of subject does not bring it")
    elif table is None:
        yield Left(exporter, dataset, "the reference schema has no table for it")
    else:
        yield Left(exporter, dataset, "the archive has no JSON Lines of it, which are the exact copy")
