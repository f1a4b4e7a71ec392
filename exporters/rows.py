"""From a source to its query, and from a row of that query to a record, a file's promise and a place to go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from sqlalchemy import BindParameter, Column, ColumnElement, Select, and_, or_, select

from exporters.bulk import converted
from exporters.files import Promise
from exporters.source import Source
from exporters.values import CONVERTERS, NOT_JSON, exact, field_type, rfc3339
from portability.api import JSON, Cursor, FieldType, Gap, Record, Selection, Slice, Subject
from portability.errors import ExporterFault

Row: TypeAlias = Sequence[Any]
Selected: TypeAlias = Select[*tuple[Any, ...]]
Comparison: TypeAlias = Callable[[Any, Any], ColumnElement[bool]]

FILE_COLUMNS = 4
"""Storage key, media type, bytes and SHA-256."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One row, read."""

    record: Record
    gaps: tuple[Gap, ...]
    key: Sequence[JSON]
    promise: Promise | None


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows by column: what of them is exported, by which they are found again, and what they say of their files."""

    values: Sequence[Sequence[JSON]]
    """One column for each field."""
    keys: Sequence[Sequence[JSON]]
    """One column for each key of the order."""
    files: Sequence[Sequence[Any]]
    """Columns of storage key, media type, bytes and SHA-256; none without files."""
    lost: Mapping[int, Sequence[str]]
    """Names of the fields that JSON cannot carry, by the row; null stands in their place."""
    texts: Sequence[Sequence[str]] = ()
    """JSON of the values, strings with or without their quotes; none where it is not made yet."""
    lines: bytes | None = None
    """The values as lines of JSON, where they are made already."""

    def __len__(self) -> int:
        return len(self.keys[0])

    def key(self, place: int) -> Sequence[JSON]:
        """Of one row."""
        return [column[place] for column in self.keys]


def rows_of(
    source: Source, subject: Subject, selection: Selection, after: Cursor | Sequence[Any] | None = None
) -> ColumnElement[bool] | None:
    """The subject's rows within the selection, after a cursor or a key; None: it can have none.

    Raises: ExporterFault.
    """
    if subject.kind not in (source.dataset.subject_kinds or ()):
        return None
    rows = source.where(subject)
    if rows is None:
        return None
    clauses = [rows, *_range(source, selection.slice or Slice(), after)]
    if selection.since is not None:
        clauses.append(source.created >= selection.since)
    if selection.until is not None:
        clauses.append(source.created < selection.until)
    if selection.began_at is not None:
        clauses.append(source.created <= selection.began_at)
    if source.retention is not None:
        kept = source.retention.kept(subject, selection.began_at or datetime.now(UTC))
        clauses += [] if kept is None else [kept]
    return and_(*clauses)


def statement(source: Source, rows: ColumnElement[bool], limit: int | BindParameter[int] | None) -> Selected:
    """Fields, keys and file columns of the first rows, in the stable order."""
    file = source.file
    columns: list[ColumnElement[Any]] = [exact(column) for column in selected(source)]
    if file is not None:
        columns += [file.storage_key, file.media_type, file.bytes, file.sha256]
    # One column may stand in several places: labels keep the places apart.
    places = [column.label(f"c{place}") for place, column in enumerate(columns)]
    return select(*places).select_from(source.origin).where(rows).order_by(*source.order).limit(limit)


def selected(source: Source) -> Sequence[Column[Any]]:
    """Columns of the fields, and after them those of the order that are no fields."""
    apart = (key for key in source.order if not any(key is column for column in source.columns))
    return [*source.columns, *apart]


def place_of(columns: Sequence[Column[Any]], wanted: Column[Any]) -> int:
    """Where a column stands among others: == of columns makes SQL."""
    return next(place for place, column in enumerate(columns) if column is wanted)


def read(source: Source, rows: Sequence[Row]) -> Columns:
    """Values of a query's rows, column by column: most columns need no look at their single values."""
    asked = selected(source)
    columns = list(zip(*rows, strict=True)) or [()] * (len(asked) + (FILE_COLUMNS if source.file else 0))
    lost: dict[int, list[str]] = {}
    values: list[Sequence[JSON]] = []
    for place, (of, column) in enumerate(zip(asked, columns, strict=False)):
        kind = field_type(of.type)
        try:
            values.append(converted(kind, column))
        except NOT_JSON:
            if place >= len(source.columns):
                raise  # a key that JSON cannot carry leads nowhere
            values.append(_one_by_one(kind, column, source.dataset.fields[place].name, lost))
    return Columns(
        values=values[: len(source.columns)],
        keys=[values[place_of(asked, key)] for key in source.order],
        files=columns[len(asked) :],
        lost=lost,
    )


def take(source: Source, rows: Sequence[Row]) -> Iterator[Taken]:
    """The rows as records, each with its gaps and the promise of its file."""
    found = read(source, rows)
    names = [field.name for field in source.dataset.fields[: len(source.columns)]]
    promised = list(zip(*found.files, strict=True))
    for place, values in enumerate(zip(*found.values, strict=True)):
        record = dict(zip(names, values, strict=True))
        promise = Promise(named(source, record), str(record["id"]), *promised[place]) if promised else None
        yield Taken(record, gaps_of(source, record, found.lost.get(place, ())), found.key(place), promise)


def gaps_of(source: Source, record: Record, lost: Iterable[str]) -> tuple[Gap, ...]:
    """One for each value that JSON cannot carry; it names the value's place."""
    return tuple(Gap(f"{named(source, record)}/{name}", "not_json") for name in lost)


def named(source: Source, record: Record) -> str:
    """What a gap calls the record."""
    return "/".join([source.dataset.name, *(str(record[name]) for name in source.dataset.key)])


def cursor(key: Row) -> Cursor:
    """The place of a row in the order: after it goes a batch on, at it begins a slice."""
    return json.dumps([rfc3339(v) if isinstance(v, datetime) else v for v in key], separators=(",", ":"))


def _one_by_one(kind: FieldType, column: Sequence[Any], name: str, lost: dict[int, list[str]]) -> Sequence[JSON]:
    """The column, with null for what JSON cannot carry, which is added to the lost ones."""
    convert = CONVERTERS[kind]
    values: list[JSON] = []
    for place, value in enumerate(column):
        try:
            values.append(None if value is None else convert(value))
        except NOT_JSON:
            values.append(None)
            lost.setdefault(place, []).append(name)
    return values


def _range(source: Source, piece: Slice, after: Cursor | Sequence[Any] | None) -> Iterator[ColumnElement[bool]]:
    begin = None if piece.begin is None else key_of(source, piece.begin, "slice")
    if after is not None:
        key = key_of(source, after) if isinstance(after, str) else after
        # The slice's begin lies before every cursor of it: a second lower bound could only mislead a query planner.
        yield _compared(gt, source.order, key)
    elif begin is not None:
        yield _compared(ge, source.order, begin)
    if piece.end is not None:
        yield _compared(lt, source.order, key_of(source, piece.end, "slice"))


def _compared(compare: Comparison, order: Sequence[Column[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """`(a, b) > (x, y)`, or with >= or <, written so that an index on (a, b) serves on every database."""
    first, value = order[0], key[0]
    if len(order) == 1:
        return compare(first, value)
    strict, loose = (lt, le) if compare is lt else (gt, ge)
    return and_(loose(first, value), or_(strict(first, value), _compared(compare, order[1:], key[1:])))


def key_of(source: Source, place: Cursor, what: str = "cursor") -> Sequence[Any]:
    """Values of the order's columns at a place. Raises ExporterFault for one that is not from here."""
    try:
        values = json.loads(place)
        return [_value(column, value) for column, value in zip(source.order, values, strict=True)]
    except (TypeError, ValueError):
        raise ExporterFault(f"{source.dataset.name}: the {what} is not from here") from None


def _value(column: Column[Any], value: JSON) -> str | int | datetime:
    if field_type(column.type) is FieldType.DATETIME and isinstance(value, str):
        return datetime.fromisoformat(value)
    if isinstance(value, str | int):
        return value
    raise TypeError
