"""Compares an SQL map with all of its database: what no one has decided on, what does not fit, and what is slow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, Engine, inspect, text, types
from sqlalchemy.dialects.postgresql import OID, REGCLASS

from exporters.maps.reading import MapFault
from exporters.sql.catalogue import Catalogue, CatalogueTable
from exporters.sql.faults import check_answers, reading
from exporters.sql.identifiers import plain_type
from exporters.sql.mapped import reused
from exporters.sql.mapped.catalogue import Catalogue as FoundCatalogue
from exporters.sql.mapped.catalogue import check_read_only
from exporters.sql.mapped.databases import POSTGRESQL
from exporters.sql.mapped.forms import SqlDatasetForm, SqlSourceForm
from exporters.sql.mapped.uses import UsedColumn, used_columns, used_tables
from exporters.sql.mapped.way_forms import ConditionForm
from exporters.sql.marks import remarks_of, withheld_of
from exporters.sql.proposal.names import Guess, guess, names_rows_of_several
from exporters.sql.rows import rows_of, statement
from exporters.sql.source import TableSource
from portability.api import CoverageFinding, CoverageKind, Identity, Selection, Subject, SubjectKind
from portability.api.errors import BadMap, SourceRefused, SourceUnavailable
from portability.api.nouns import first_identity

NAMES_NOTHING = (
    types.JSON,
    REGCLASS,
    OID,
    types.LargeBinary,
    types.Boolean,
    types.Float,
    types.Numeric,
    types.DateTime,
)
"""Types of columns of an outbox whose values are neither texts nor integers nor UUIDs."""
LARGE_OBJECTS = text("select exists (select 1 from pg_catalog.pg_largeobject_metadata)")
ALL = "*"
"""`schema.*` among the internal tables: every table of the schema."""
VALUES = ("0", "00000000-0000-0000-0000-000000000000", "coverage")
"""Identities of no one: of each a column of numbers, of UUIDs or of texts can contain one."""
TENANT = VALUES[1]
SEVERAL_TABLES = "see docs/maps.md#links-to-rows-of-several-tables"


def decided_tables(form: SqlSourceForm) -> frozenset[str]:
    """Return the tables on which a map decides: those of datasets, and those without personal data."""
    return frozenset({one.table for one in form.dataset} | form.tables.internal.keys() | _outbox(form))


def schemas_of(connection: Connection) -> Sequence[str]:
    """Return the schemas that belong to the database; on MariaDB another schema is another database."""
    if connection.dialect.name != POSTGRESQL:
        return ()
    return [name for name in inspect(connection).get_schema_names() if name != "information_schema"]


def undecided(form: SqlSourceForm, catalogue: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the tables and columns on which no one has decided."""
    of_table: dict[str, list[SqlDatasetForm]] = defaultdict(list)
    for dataset in form.dataset:
        of_table[dataset.table].append(dataset)
    for name, table in catalogue.tables.items():
        if name in of_table:
            yield from _columns(table, of_table[name])
        elif not table.is_partition and not _is_internal(form, name):
            seen = f"{'view, ' if table.is_view else ''}{_counted(table.columns)}"
            seen = seen if table.columns else "the account sees none of its columns"
            yield CoverageFinding(CoverageKind.UNDECIDED_TABLE, name, columns=len(table.columns) or 1, detail=seen)


def writable(connection: Connection, form: SqlSourceForm, used: FoundCatalogue) -> Iterator[CoverageFinding]:
    """Yield a finding if the account may write to one of the tables."""
    try:
        check_read_only(connection, used)
    except BadMap as error:
        table = next((one.table for one in form.dataset), "")
        yield CoverageFinding(CoverageKind.WRITABLE, table, detail=str(error))


def unfit(form: SqlSourceForm, catalogue: Catalogue, faults: Sequence[MapFault]) -> Iterator[CoverageFinding]:
    """Yield what the map names and the database does not have, and the other faults of the map with this database."""
    missing: set[tuple[str | int, ...]] = set()
    hints = {tuple(fault.path): fault.hint for fault in faults}
    for used in used_tables(form):
        listed = catalogue.tables.get(used.table)
        if not (listed and listed.columns):
            missing.add(tuple(used.path))
            name, hint = _dataset(form, used.path), hints.get(tuple(used.path), "")
            yield CoverageFinding(CoverageKind.MISSING_TABLE, used.table, dataset=name, detail=hint)
    for column in used_columns(form):
        found = catalogue.tables.get(column.table)
        if found and found.columns and column.column not in found.columns:
            missing.add(tuple(column.path))
            yield _missing(form, column, hints.get(tuple(column.path), ""))
    for fault in faults:
        if tuple(fault.path) not in missing:
            kind = CoverageKind.WRONG_TYPE if fault.path[-1:] == ("type",) else CoverageKind.UNFIT
            name = _dataset(form, fault.path)
            table = next((one.table for one in form.dataset if one.name == name), "")
            yield CoverageFinding(kind, table, dataset=name, detail=fault.advice)


def apart(connection: Connection, form: SqlSourceForm, catalogue: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the fields that have the number of a large object of PostgreSQL, where the database stores such objects."""
    for dataset in form.dataset:
        table = catalogue.tables.get(dataset.table)
        columns = table.columns if table else {}
        numbers = {name for name, column in columns.items() if isinstance(plain_type(column.type), OID)}
        for name, column in dataset.own_columns.items():
            if column in numbers and connection.scalar(LARGE_OBJECTS):
                seen = f"{name} has the number of a large object, and not what is stored there"
                detail = f"{seen} (name a view that writes it: encode(lo_get({column}), 'base64'))"
                yield CoverageFinding(CoverageKind.UNFIT, dataset.table, column, dataset.name, detail=detail)


def mixed(form: SqlSourceForm, catalogue: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the ways by a column that may name rows of several tables, without a condition on what says of which.

    Such a way leads to the rows of other people whose number is that of the subject.
    """
    for path, dataset, way in form.steps():
        links: list[tuple[str, str, Iterable[ConditionForm]]] = []
        table, conditions = dataset.table, (*dataset.where, *way.where)
        for step in way.through:
            links += [(table, step.key, conditions), (step.table, step.here, step.where)]
            table, conditions = step.table, step.where
        for of_table, column, where in (*links, (table, way.column, conditions)):
            found = catalogue.tables.get(of_table)
            kind = names_rows_of_several(found, column) if found else None
            if kind is not None and kind not in {one.column for one in where}:
                seen = f"{column!r} of {of_table} may name rows of several tables: no condition is on {kind!r}"
                detail = f"{seen}; add one: {SEVERAL_TABLES}"
                yield CoverageFinding(CoverageKind.UNFIT, dataset.table, dataset=_dataset(form, path), detail=detail)


def remarked(connection: Connection, form: SqlSourceForm, catalogue: Catalogue) -> Iterator[CoverageFinding]:
    """Yield what costs speed or evidence, ids that may be another person's later, and numbers of large objects."""
    yield from slow(form, catalogue)
    yield from unsigned(form, catalogue)
    yield from reused.found(connection, form, catalogue)
    yield from apart(connection, form, catalogue)


def slow(form: SqlSourceForm, catalogue: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the datasets whose order has no index, neither by itself nor behind a column that selects rows.

    Also the outbox, if no index finds its new entries, or they name no record: each archive of a feed reads all entries
    for each dataset, or compares everything.
    """
    for outbox in form.outboxes:
        entries, place = catalogue.tables.get(outbox.table), outbox.transaction or outbox.at or ""
        if entries is not None and not entries.is_view and not entries.has_index([place]):
            yield CoverageFinding(CoverageKind.NO_INDEX, outbox.table, detail=place)
        for name in (outbox.dataset, outbox.key):
            column = entries.columns.get(name) if entries is not None else None
            if column is not None and isinstance(plain_type(column.type), NAMES_NOTHING):
                kind = str(column.type).lower()
                yield CoverageFinding(CoverageKind.NAMES_NOTHING, outbox.table, column=name, detail=kind)
    for dataset in form.dataset:
        table, order = catalogue.tables.get(dataset.table), tuple(dataset.order_columns)
        if table is None or table.is_view or not dataset.fields:
            continue
        selecting = [way.column for way in dataset.exact_rows if not way.through] + [dataset.tenant or ""]
        if not any(table.has_index(columns) for columns in (order, *((first, *order) for first in selecting))):
            yield CoverageFinding(CoverageKind.NO_INDEX, dataset.table, dataset=dataset.name, detail=", ".join(order))


def unsigned(form: SqlSourceForm, catalogue: Catalogue) -> Iterator[CoverageFinding]:
    """Yield the tables on which the map decides without saying who did and when."""
    signed = {name for decision in form.decision for name in decision.about}
    for dataset in form.dataset:
        decided = _decided(dataset)
        left = [name for name in decided if f"{dataset.table}.{name}" not in signed]
        if dataset.table in catalogue.tables and dataset.table not in signed and left:
            yield CoverageFinding(CoverageKind.UNSIGNED, dataset.table, dataset=dataset.name, detail=_counted(left))
    for name in form.tables.internal:
        if name not in signed:
            yield CoverageFinding(CoverageKind.UNSIGNED, name)


def refused(engine: Engine, form: SqlSourceForm, sources: Sequence[TableSource]) -> Iterator[CoverageFinding]:
    """Yield the datasets whose query the database refuses; each is run with LIMIT 0.

    A query that fails while the database answers others is that of a table which cannot be read, such as one of a
    foreign server that is away. Raises SourceUnavailable if the database answers nothing.
    """
    tables = {one.name: one.table for one in form.dataset}
    for source in sources:
        fault = next(filter(None, (_refusal(engine, source, kind) for kind in _kinds(source))), None)
        if fault is not None:
            name = source.dataset.name
            yield CoverageFinding(CoverageKind.QUERY_REFUSED, tables[name], dataset=name, detail=fault)


def refused_once(findings: Iterable[CoverageFinding]) -> Iterator[CoverageFinding]:
    """Yield the findings; of a table that the database does not read for a dataset only the first."""
    seen: set[tuple[str, str]] = set()
    for one in findings:
        place = (one.table, one.dataset)
        if one.kind is CoverageKind.QUERY_REFUSED and place in seen:
            continue
        seen |= {place} if one.kind is CoverageKind.QUERY_REFUSED else set()
        yield one


def _refusal(engine: Engine, source: TableSource, kind: SubjectKind) -> str | None:
    """Return why the database refuses what an export reads: with all comparisons of times, and all marks."""
    selection = Selection(since=datetime.fromtimestamp(0, UTC), began_at=datetime.now(UTC))
    subject = no_one(source, kind)
    rows = rows_of(source, subject, selection)
    return _refused(engine, source, subject, selection, rows) if isinstance(rows, ColumnElement) else None


def _refused(
    engine: Engine, source: TableSource, subject: Subject, selection: Selection, rows: ColumnElement[bool]
) -> str | None:
    try:
        marks = {**remarks_of(source, subject, selection), **withheld_of(engine, source, Selection())}
        with reading(engine, source.dataset.name) as connection:
            connection.execute(statement(source, rows, 0, marks))
    except SourceRefused as error:
        return str(error)
    except SourceUnavailable as error:
        check_answers(engine, source.dataset.name)
        return str(error)
    return None


def no_one(source: TableSource, kind: SubjectKind) -> Subject:
    """Return a subject that does not exist, with an identity of every kind that the dataset selects by."""
    selecting = source.filter.kinds if source.filter is not None else frozenset[str]()
    kinds = sorted({*selecting, first_identity(kind, "", None).kind})
    identities = [
        Identity("coverage", name, value, verified=True, tenant=tenant)
        for name in kinds
        for value in VALUES
        for tenant in (None, TENANT)
    ]
    tenant = TENANT if kind in {SubjectKind.CONTACT, SubjectKind.TENANT} else None
    return Subject(kind, tenant, "sub_coverage", tuple(identities))


def _kinds(source: TableSource) -> Sequence[SubjectKind]:
    return sorted(source.dataset.subject_kinds or ())


def _columns(table: CatalogueTable, datasets: Sequence[SqlDatasetForm]) -> Iterator[CoverageFinding]:
    decided = {name for one in datasets for name in (_decided(one) | _implied(one)) - {*one.undecided}}
    offered = next((one.name for one in datasets if one.fields), "")
    for name, column in table.columns.items():
        if name not in decided:
            found = guess(name, column.type, table.name)
            detail = type(column.type).__name__.lower()
            detail += "" if found is Guess.OTHER else f", {found.replace('_', ' ')}"
            yield CoverageFinding(CoverageKind.UNDECIDED_COLUMN, table.name, name, offered, detail=detail)


def _counted(columns: Collection[str]) -> str:
    return f"{len(columns)} column{'' if len(columns) == 1 else 's'}"


def _decided(dataset: SqlDatasetForm) -> frozenset[str]:
    return frozenset({*dataset.own_columns.values(), *dataset.withheld, *dataset.internal})


def _implied(dataset: SqlDatasetForm) -> frozenset[str]:
    """Return the columns on which a key of the dataset decides: the tenant, and those of a file that is delivered."""
    of_file = () if dataset.file is None else dataset.file.model_dump(exclude_none=True).values()
    return frozenset({*filter(None, (dataset.tenant,)), *of_file})


def _is_internal(form: SqlSourceForm, table: str) -> bool:
    schema = table.rpartition(".")[0]
    return table in {*form.tables.internal, *_outbox(form)} or f"{schema}.{ALL}" in form.tables.internal


def _outbox(form: SqlSourceForm) -> frozenset[str]:
    """Return the table of the outbox: its entries name records, on whose values the datasets decide."""
    return frozenset(outbox.table for outbox in form.outboxes)


def _dataset(form: SqlSourceForm, path: Sequence[str | int]) -> str:
    return form.dataset[int(path[1])].name if path[:1] == ("dataset",) and len(path) > 1 else ""


def _missing(form: SqlSourceForm, used: UsedColumn, hint: str) -> CoverageFinding:
    name = _dataset(form, used.path)
    return CoverageFinding(CoverageKind.MISSING_COLUMN, used.table, used.column, name, detail=hint)
