"""Makes the query of a source, and of its rows records, stated files and cursors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Column, ColumnElement, Select, and_, func, or_, select
from sqlalchemy.sql.elements import NamedColumn

from exporters.maps.file_stems import file_stem
from exporters.sql.bulk import converted
from exporters.sql.by_keys import among
from exporters.sql.creation import in_period
from exporters.sql.cursors import IN_STORED_ORDER, as_written, at, stored, within
from exporters.sql.files import StatedFile, stated_file
from exporters.sql.marks import MarkedRows, Marks, marked
from exporters.sql.source import TableSource
from exporters.sql.values import CONVERTERS, NOT_JSON, UnsetDay, exact, field_type, readable
from portability.api import JSON, Cursor, FieldType, Gap, Record, Selection, Slice, Subject

Row: TypeAlias = Sequence[Any]
Selected: TypeAlias = Select[*tuple[Any, ...]]

FILE_COLUMNS = 4
"""Columns of storage key, media type, bytes and SHA-256."""


@dataclass(frozen=True, slots=True)
class TakenColumns:
    """One row, converted."""

    record: Record
    gaps: tuple[Gap, ...]
    key: Sequence[Any]
    stated: StatedFile | None
    marks: frozenset[str]
    """Names of the marks that it fulfils."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows by column: exported values, keys, and what they state about their files."""

    values: Sequence[Sequence[JSON]]
    """One column for each field."""
    keys: Sequence[Sequence[Any]]
    """One column for each key of the order: JSON values, or a StoredKey where JSON cannot represent it."""
    files: Sequence[Sequence[Any]]
    """Columns of storage key, media type, bytes and SHA-256; empty without files."""
    lost: Mapping[int, Sequence[str]]
    """By row, names of the fields that JSON cannot represent; they become null."""
    marks: MarkedRows = field(default_factory=dict)
    texts: Sequence[Sequence[str]] = ()
    """JSON of the values, strings with or without their quotes; None if not made yet."""
    lines: bytes | None = None
    """The values as lines of JSON, if they are already made."""

    def __len__(self) -> int:
        return len(self.keys[0])

    def key(self, place: int) -> Sequence[Any]:
        """Return the key of one row."""
        return [column[place] for column in self.keys]


def rows_of(
    source: TableSource, subject: Subject, selection: Selection, after: Cursor | Sequence[Any] | None = None
) -> ColumnElement[bool] | None:
    """Return the condition for the subject's rows within the selection, after a cursor or key; None: it can have none.

    Raises: ExporterFault; SourceRefused for keys that are not in the dataset's own table.
    """
    if (rows := _chosen(source, subject, selection)) is not None:
        placed = (key.is_not(None) for key in source.order if key.nullable)
        return and_(rows, *placed, *within(source, selection.slice or Slice(), after))
    return None


def without_place(source: TableSource, subject: Subject, selection: Selection) -> Selected | None:
    """Return the query for the number of the subject's rows that have NULL in the order; None: it can have none.

    The reader continues after a row by comparing, and nothing is after NULL.
    """
    missing = [key.is_(None) for key in source.order if key.nullable]
    rows = _chosen(source, subject, selection) if missing else None
    if rows is not None:
        return select(func.count()).select_from(source.origin).where(rows, or_(*missing))
    return None


def with_place(source: TableSource, subject: Subject, selection: Selection, place: Cursor) -> Selected | None:
    """Return the query for the number of the subject's rows that are neither before nor after a cursor.

    None: it can have none. Raises: ExporterFault for an invalid cursor.
    """
    if (rows := _chosen(source, subject, selection)) is not None:
        return select(func.count()).select_from(source.origin).where(rows, at(source, place))
    return None


def _chosen(source: TableSource, subject: Subject, selection: Selection) -> ColumnElement[bool] | None:
    if subject.kind in (source.dataset.subject_kinds or ()) and (rows := source.where(subject)) is not None:
        chosen = (among(source, selection.keys),) if selection.keys is not None else ()
        return and_(rows, *chosen, *in_period(source, selection))
    return None


def statement(
    source: TableSource,
    rows: ColumnElement[bool],
    limit: int | BindParameter[int] | None,
    marks: Marks = MappingProxyType({}),
) -> Selected:
    """Select fields, keys, file columns and marks of the first rows, in the stable order."""
    file = source.file
    columns: list[ColumnElement[Any]] = [exact(column) for column in selected(source)]
    if file is not None:
        columns += [file.storage_key, file.media_type, file.bytes, file.sha256]
    columns += marks.values()
    # A column may occur several times: labels keep the occurrences apart.
    places = [column.label(f"c{place}") for place, column in enumerate(columns)]
    return select(*places).select_from(source.origin).where(rows).order_by(*source.order).limit(limit)


def selected(source: TableSource) -> Sequence[NamedColumn[Any]]:
    """Return the columns of the fields, followed by those of the order that are not fields."""
    apart = (key for key in source.order if not any(key is column for column in source.columns))
    return [*source.columns, *apart]


def place_of(columns: Sequence[NamedColumn[Any]], wanted: Column[Any]) -> int:
    """Return the index of a column among others; `==` between columns would make SQL."""
    return next(place for place, column in enumerate(columns) if column is wanted)


def read(source: TableSource, rows: Sequence[Row], marks: Collection[str] = ()) -> Columns:
    """Convert a query's rows, column by column: most columns need no check of single values."""
    needed = selected(source)
    first_mark = len(needed) + (FILE_COLUMNS if source.file else 0)
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * (first_mark + len(marks))
    lost: dict[int, list[str]] = {}
    values: list[Sequence[JSON]] = []
    keys: list[Sequence[Any]] = []
    for place, (of, column) in enumerate(zip(needed, columns, strict=False)):
        # A column of the order that is not a field is not exported, so nothing of it is lost.
        name = source.dataset.fields[place].name if place < len(source.columns) else None
        converted_values, key = _column(of, column, name, lost, is_key=name in source.dataset.key)
        values.append(converted_values)
        keys.append(key)
    return Columns(
        values=values[: len(source.columns)],
        keys=[keys[place_of(needed, key)] for key in source.order],
        files=columns[len(needed) : first_mark],
        lost=lost,
        marks=marked(marks, columns[first_mark:]),
    )


def keys_of(source: TableSource, rows: Sequence[Row]) -> Sequence[Sequence[Any]]:
    """Return the keys of rows that contain the columns of the order, each as `exact` selects it."""
    columns = zip(source.order, zip(*rows, strict=True), strict=False)
    keys = [_column(of, column, None, {})[1] for of, column in columns]
    return list(zip(*keys, strict=True))


def _column(
    of: NamedColumn[Any], column: Sequence[Any], name: str | None, lost: dict[int, list[str]], *, is_key: bool = False
) -> tuple[Sequence[JSON], Sequence[Any]]:
    """Return the values of a column, and the same as keys of the order."""
    kind, found = field_type(of.type), readable(of.type, column)
    try:
        values = converted(kind, found)
        kept: Sequence[Any] = values
    except NOT_JSON:
        values = _one_by_one(kind, found, name, lost, is_key=is_key)
        kept = stored(values, column)
    return values, as_written(of, column) if isinstance(of.type, IN_STORED_ORDER) else kept


def take(source: TableSource, rows: Sequence[Row], marks: Collection[str] = ()) -> Iterator[TakenColumns]:
    """Yield the rows as records, each with its gaps, its stated file and its marks."""
    found = read(source, rows, marks)
    places = {name: frozenset(rows) for name, rows in found.marks.items()}
    names = [field.name for field in source.dataset.fields[: len(source.columns)]]
    file_columns = list(zip(*found.files, strict=True))
    for place, values in enumerate(zip(*found.values, strict=True)):
        record = dict(zip(names, values, strict=True))
        name = named(source, record)
        stated = stated_file(name, identifier(source, record), file_columns[place]) if file_columns else None
        gaps = gaps_of(source, record, found.lost.get(place, ()))
        fulfilled = frozenset(name for name, rows in places.items() if place in rows)
        yield TakenColumns(record, gaps, found.key(place), stated, fulfilled)


def gaps_of(source: TableSource, record: Record, lost: Iterable[str]) -> tuple[Gap, ...]:
    """Return a gap for each value that JSON cannot represent; it names the record and the field."""
    return tuple(
        Gap(f"{named(source, record)}/{name}", "not_json", key=key(source, record), fields=(name,)) for name in lost
    )


def key(source: TableSource, record: Record) -> tuple[str | int, ...]:
    """Return a record's key for its gaps; empty if a part of it is lost itself."""
    values = [record[name] for name in source.dataset.key]
    return tuple(value for value in values if isinstance(value, str | int)) if None not in values else ()


def identifier(source: TableSource, record: Record) -> str:
    """Return the key of a record as one text, which names its file."""
    return file_stem([record[name] for name in source.dataset.key])


def named(source: TableSource, record: Record) -> str:
    """Return the name of a record in gaps."""
    return "/".join([source.dataset.name, *(str(record[name]) for name in source.dataset.key)])


def _one_by_one(
    kind: FieldType, column: Sequence[Any], name: str | None, lost: dict[int, list[str]], *, is_key: bool
) -> Sequence[JSON]:
    """Convert a column; values that JSON cannot represent become null and are added to `lost`.

    A day of zeros is null, too, and lost only in a key, because the record is then not known by it.
    """
    convert = CONVERTERS[kind]
    values: list[JSON] = []
    for place, value in enumerate(column):
        try:
            values.append(None if value is None else convert(value))
        except NOT_JSON as error:
            values.append(None)
            if name is not None and (is_key or not isinstance(error, UnsetDay)):
                lost.setdefault(place, []).append(name)
    return values
