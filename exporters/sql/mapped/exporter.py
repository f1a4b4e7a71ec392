"""The exporter of a map: what it declares is known without its database; the catalogue is read at the first use."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlalchemy import select

from exporters.maps.reading import Map
from exporters.sql import catalogue
from exporters.sql.counts import TableCount
from exporters.sql.exporter import SqlExporter
from exporters.sql.faults import reading
from exporters.sql.mapped import coverage, damage, foreign_keys, policies, tenantless
from exporters.sql.mapped.baselines import marked_slices, start_of
from exporters.sql.mapped.belongings import kinds_of
from exporters.sql.mapped.catalogue import check_read_only, read_catalogue
from exporters.sql.mapped.change_parts import changes_of, declared_changes
from exporters.sql.mapped.compiling import CompiledMap, compile_map, datasets_of_map
from exporters.sql.mapped.database_faults import database_faults
from exporters.sql.mapped.databases import POSTGRESQL, SectionSources, check_lag, with_settings
from exporters.sql.mapped.forms import TENANT, SqlSourceForm
from exporters.sql.mapped.identification import Identification, use_of
from exporters.sql.mapped.seen_tables import SeenTables
from exporters.sql.mapped.uses import used_columns, used_tables
from exporters.sql.sole_addresses import AddressUsers
from portability.api import (
    JSON,
    Batch,
    CheckedDeclaration,
    Coverage,
    Cursor,
    Dataset,
    DeclaredChanges,
    Identity,
    IdentityUse,
    RecordKey,
    Selection,
    Size,
    Slice,
    Subject,
    SubjectKind,
)
from portability.api.errors import BadMap, ExporterFault, SourceRefused

SHOWN_OR_REFUSED = {"row_security": "off"}
"""PostgreSQL refuses a query whose rows a policy would filter; policies may be made after a worker has started."""
TYPES_SECONDS = 60.0
"""How long types of columns, and keys, are believed: then one statement compares them with those of the start."""
READERS_MAX = 64
"""Tenants whose readers are kept: each has an engine with the settings of its sessions."""


@dataclass(frozen=True, slots=True)
class MappedSection:
    """A section of the file of sources: its map, and what it reads."""

    name: str
    map: Map[SqlSourceForm]
    database: str
    """The kind of its database."""
    sources: SectionSources
    lag_seconds: float | None = None
    """How far a replica may be behind; None: it is not measured."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What is read in sessions of one kind."""

    tenant: str
    """Empty if the sessions are the same for all tenants."""
    subject: Subject
    reader: SqlExporter


class MappedExporter:
    """Reads the datasets of a map.

    Where a session shows the rows of one tenant only, a subject without tenant is read for one tenant after the other.
    """

    def __init__(self, section: MappedSection) -> None:
        self._section = section
        self._form = section.map.form
        self._datasets = tuple(datasets_of_map(self._form))
        self._compiled: CompiledMap | None = None
        self._seen: SeenTables | None = None
        self._made_reader = lru_cache(maxsize=READERS_MAX)(self._make_reader)

    @property
    def title(self) -> str:
        """Return the title that the map gives the source."""
        return self._form.title

    @property
    def datasets(self) -> Sequence[Dataset]:
        return self._datasets

    @property
    def subject_kinds(self) -> frozenset[SubjectKind]:
        return frozenset(kind for dataset in self._datasets for kind in dataset.subject_kinds or ())

    @property
    def identity_use(self) -> IdentityUse:
        """Return the kinds that it uses and finds, and those that name records that a person must review."""
        return use_of(self._form, self._section.name, kinds_of(self._form))

    @property
    def declaration(self) -> CheckedDeclaration:
        """Return the hash of the map, and the tables of its database on which it decides."""
        url = self._section.sources.database.url
        database = f"{self._section.database}://{url.host}:{url.port}/{url.database}"
        return CheckedDeclaration(self._section.map.source.sha256, database, coverage.decided_tables(self._form))

    def check(self) -> Coverage:
        """Compare the map with the whole catalogue of its database, and run each dataset's query without a row.

        Raises: SourceUnavailable, SourceRefused; SourceDamaged if a file of SQLite has lost rows.
        """
        section, form = self._section, self._form
        names = {used.table for used in used_tables(form)}
        with reading(section.sources.database, f"{section.name}: catalogue") as connection:
            used = read_catalogue(connection, names)
            faults = list(database_faults(form, section.database, used))
            whole = catalogue.read(connection, coverage.schemas_of(connection), names | coverage.decided_tables(form))
            findings = [
                *coverage.undecided(form, whole),
                *coverage.unfit(form, whole, faults),
                *coverage.mixed(form, whole),
                *foreign_keys.astray(form, whole),
                *coverage.remarked(connection, form, whole),
                *coverage.writable(connection, form, used),
                *policies.hidden(connection, form, used),
            ]
        if not faults:
            sources = self._sessions(coverage.TENANT)
            compiled = compile_map(form, used, self._section.name)
            findings += coverage.refused(sources.database, form, compiled.sources)
            findings += tenantless.found(sources.database, section.name, form, used, compiled.tables)
        findings += damage.examine(section.sources.database, section.name, used)
        return Coverage(tuple(coverage.refused_once(findings)))

    def prepare(self) -> None:
        """Read the catalogue, so that forks have it. Raises BadMap, SourceUnavailable, SourceRefused."""
        self._compile()

    def export(
        self, subject: Subject, dataset: Dataset, selection: Selection, *, after: Cursor | None = None
    ) -> Generator[Batch, None, None]:
        """Yield batches of about 4 MiB. Raises SourceUnavailable, SourceRefused, ExporterFault."""
        self._check_lag()
        read = start_of(selection, after)
        begin, inner = self._place(read.after, dataset)
        for part in self._parts(subject, dataset):
            if part.tenant < begin:
                continue
            here = replace(read, after=inner if part.tenant == begin else None)
            batches = part.reader.export(part.subject, dataset, here.selection, after=here.after)
            for batch, known in self._tables_seen().watched(dataset, batches, here):
                yield replace(batch, cursor=known.marked(self._cursor(part, batch.cursor)))

    def count(self, subject: Subject, dataset: Dataset, selection: Selection) -> Size:
        """Count records and the stated bytes of their files."""
        selection = start_of(selection, None).selection
        sizes = [part.reader.count(part.subject, dataset, selection) for part in self._parts(subject, dataset)]
        records, of_files = sum(size.records for size in sizes), [size.bytes for size in sizes]
        return Size(records, _total(of_files), _total([size.unrelated for size in sizes]) if sizes else None)

    def prepared_count(self, subject: Subject, dataset: Dataset, selection: Selection) -> TableCount | None:
        """Return the count of a person's records; None for a tenant, and if several tenants are read."""
        selection = start_of(selection, None).selection
        parts = list(self._parts(subject, dataset))
        return parts[0].reader.prepared_count(parts[0].subject, dataset, selection) if len(parts) == 1 else None

    def slices(self, subject: Subject, dataset: Dataset, selection: Selection, n: int) -> Sequence[Slice]:
        """Return at most `n` slices of about equal weight; one if several tenants are read."""
        parts = list(self._parts(subject, dataset))
        if len(parts) != 1 or self._form.session.needs_tenant:
            return (selection.slice or Slice(),)
        read = start_of(selection, None)
        found = parts[0].reader.slices(subject, dataset, read.selection, n)
        return marked_slices(selection, found, read.since or self._tables_seen().baseline())

    def existing(self, dataset: Dataset, keys: Sequence[tuple[JSON, ...]]) -> Collection[tuple[JSON, ...]]:
        """Return those of the keys that the dataset's table stores.

        Raises: SourceUnavailable; SourceRefused if each session shows the rows of one tenant only.
        """
        if self._form.session.needs_tenant:
            raise SourceRefused(f"{dataset.name}: each session shows the rows of one tenant only")
        return self._reader("").existing(dataset, keys)

    @property
    def changes(self) -> DeclaredChanges | None:
        """Return what the map declares about changes; None: nothing."""
        return declared_changes(self._form)

    def horizon(self) -> JSON:
        """Return the position of now among changes, of the whole database. Raises SourceUnavailable, SourceRefused."""
        self._check_lag()
        return self._reader("").horizon()

    def changed(self, subject: Subject, dataset: Dataset, since: JSON, limit: int) -> Collection[RecordKey] | None:
        """Return the keys that may have changed since a position; None: it cannot say it, or they are too many.

        Raises: SourceUnavailable, SourceRefused.
        """
        self._check_lag()
        found: set[RecordKey] = set()
        for part in self._parts(subject, dataset):
            more = part.reader.changed(part.subject, dataset, since, limit)
            if more is None or len(found := found | set(more)) > limit:
                return None
        return found

    def identities(self, subject: Subject) -> Sequence[Identity]:
        """Find further identities by the look-ups of the map."""
        self._check_lag()
        return tuple(one for part in self._parts(subject) for one in part.reader.identities(part.subject))

    def knows(self, subject: Subject) -> bool | None:
        """Return whether a look-up finds the identity that the request names; None if no look-up begins with it."""
        answers = [part.reader.knows(part.subject) for part in self._parts(subject)]
        return any(answers) if answers and None not in answers else None

    def _compile(self) -> CompiledMap:
        # Without a lock: a fork would inherit it, and two threads at once only read the catalogue twice.
        if self._compiled is not None and self._seen is not None and self._seen.is_same(TYPES_SECONDS):
            return self._compiled
        section, names = self._section, {used.table for used in used_tables(self._form)}
        self._compiled = None
        with reading(section.sources.database, f"{section.name}: catalogue") as connection:
            catalogue = read_catalogue(connection, names)
            section.map.source.refuse(database_faults(self._form, section.database, catalogue))
            check_read_only(connection, catalogue)
            columns = used_columns(self._form)
            self._seen = SeenTables(section.sources.database, section.name, connection, catalogue, columns)
        self._made_reader.cache_clear()
        compiled = self._compiled = compile_map(self._form, catalogue, self._section.name)
        return compiled

    def _tables_seen(self) -> SeenTables:
        """Return the tables as they were compiled, once something was read."""
        if not self._seen:
            raise ExporterFault(f"{self._section.name}: nothing was compiled")
        return self._seen

    def _reader(self, tenant: str) -> SqlExporter:
        self._usable()
        return self._made_reader(tenant)

    def _usable(self) -> CompiledMap:
        """Return the compiled map. Raises SourceUnavailable, SourceRefused."""
        try:
            return self._compile()
        except BadMap as error:
            raise SourceRefused(f"{self._section.name}: {error}", hint=error.hint) from None

    def _make_reader(self, tenant: str) -> SqlExporter:
        compiled, sources = self._usable(), self._sessions(tenant)
        users = AddressUsers(compiled.accounts, compiled.belongings)
        found = Identification(self._section.name, self._form, compiled.tables, compiled.relations, users)
        changes = changes_of(self._form, compiled.tables, self._section.lag_seconds or 0)
        finder, knower, whole = found.find, found.knows, compiled.whole
        return SqlExporter(
            sources, *compiled.sources, title=self.title, finder=finder, knower=knower, whole=whole, changes=changes
        )

    def _sessions(self, tenant: str) -> SectionSources:
        """Return what is read in sessions of a tenant."""
        sources, session = self._section.sources, self._form.session
        settings = {name: value.replace(TENANT, tenant) for name, value in session.set.items()}
        if self._section.database == POSTGRESQL and not (settings or session.shows_all_rows):
            settings = SHOWN_OR_REFUSED
        return replace(sources, database=with_settings(sources.database, settings)) if settings else sources

    def _parts(self, subject: Subject, dataset: Dataset | None = None) -> Iterator[_Part]:
        """Yield what is read for a subject, in a stable order; for a dataset only where the subject can have rows."""
        if not self._form.session.needs_tenant:
            yield _Part("", subject, self._reader(""))
            return
        for tenant in self._tenants(subject):
            identities = tuple(one for one in subject.identities if one.tenant in {None, tenant})
            part = replace(subject, tenant=tenant, identities=identities)
            if dataset is None or self._may_have_rows(part, dataset):
                yield _Part(tenant, part, self._reader(tenant))

    def _may_have_rows(self, subject: Subject, dataset: Dataset) -> bool:
        compiled = self._usable()
        found = [one for one in compiled.sources if one.dataset.name == dataset.name]
        if compiled.whole is not None and compiled.whole.dataset.name == dataset.name:
            found = [compiled.whole.parent]
        return any(one.where(subject) is not None for one in found)

    def _tenants(self, subject: Subject) -> Sequence[str]:
        stated = self._form.session.tenants
        if subject.tenant is not None:
            return (subject.tenant,)
        if stated is None:
            return ()
        of_tenants = self._usable().tables[stated.table].c[stated.column]
        with reading(self._section.sources.database, f"{self._section.name}: tenants", single=True) as connection:
            return sorted(str(one) for one in connection.scalars(select(of_tenants)) if one is not None)

    def _check_lag(self) -> None:
        if self._section.lag_seconds is not None:
            check_lag(self._section.sources.database, self._section.name, self._section.lag_seconds)

    def _cursor(self, part: _Part, inner: Cursor) -> Cursor:
        return json.dumps([part.tenant, inner]) if self._form.session.needs_tenant else inner

    def _place(self, after: Cursor | None, dataset: Dataset) -> tuple[str, Cursor | None]:
        """Return the tenant and the place in its rows at which reading continues."""
        if after is None or not self._form.session.needs_tenant:
            return "", after
        try:
            tenant, inner = json.loads(after)
        except (TypeError, ValueError):
            raise ExporterFault(f"{dataset.name}: invalid cursor: start again without it") from None
        return tenant, inner


def _total(numbers: Sequence[int | None]) -> int | None:
    """Return the sum; None if a number is not known."""
    known = [one for one in numbers if one is not None]
    return sum(known) if len(known) == len(numbers) else None
