"""From a source to its query, and from a row of that query to a record, a file's promise and a place to go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from sqlalchemy import Column, ColumnElement, Select, and_, or_, select

from exporters.files import Promise
from exporters.source import Source
from exporters.values import CONVERTERS, NOT_JSON, bytes_of, field_type, rfc3339
from portability.api import JSON, Cursor, FieldType, Gap, Record, Selection, Slice, Subject
from portability.errors import ExporterFault

Row: TypeAlias = Sequence[Any]
Selected: TypeAlias = Select[*tuple[Any, ...]]
Comparison: TypeAlias = Callable[[Any, Any], ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Taken:
    """One row, read."""

    record: Record
    bytes: int
    gaps: tuple[Gap, ...]
    key: Row
    promise: Promise | None


def rows_of(
    source: Source, subject: Subject, selection: Selection, after: Cursor | None = None
) -> ColumnElement[bool] | None:
    """The subject's rows within the selection, after a cursor; None: it can have none. Raises ExporterFault."""
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


def statement(source: Source, rows: ColumnElement[bool], limit: int | None) -> Selected:
    """Fields, keys and file columns of the first rows, in the stable order."""
    file = source.file
    columns = [*source.columns, *source.order]
    if file is not None:
        columns += [file.storage_key, file.media_type, file.bytes, file.sha256]
    # One column may stand in several places: labels keep the places apart.
    places = [column.label(f"c{place}") for place, column in enumerate(columns)]
    return select(*places).select_from(source.origin).where(rows).order_by(*source.order).limit(limit)


def take(source: Source, row: Row) -> Taken:
    """The record of a row; a value that JSON cannot carry becomes null and a gap that names it."""
    record: dict[str, JSON] = {}
    lost: list[str] = []
    for field, value in zip(source.dataset.fields, row[: len(source.columns)], strict=False):
        try:
            record[field.name] = None if value is None else CONVERTERS[field.type](value)
        except NOT_JSON:
            record[field.name] = None
            lost.append(field.name)
    key, file = row[len(source.columns) :][: len(source.order)], row[len(source.columns) + len(source.order) :]
    return Taken(
        record=record,
        bytes=bytes_of(record),
        gaps=tuple(Gap(f"{_named(source, record)}/{name}", "not_json") for name in lost),
        key=key,
        promise=Promise(_named(source, record), str(record["id"]), *file) if source.file is not None else None,
    )


def cursor(key: Row) -> Cursor:
    """The place of a row in the order: after it goes a batch on, at it begins a slice."""
    return json.dumps([rfc3339(v) if isinstance(v, datetime) else v for v in key], separators=(",", ":"))


def _named(source: Source, record: Record) -> str:
    """What a gap calls the record."""
    return "/".join([source.dataset.name, *(str(record[name]) for name in source.dataset.key)])


def _range(source: Source, piece: Slice, after: Cursor | None) -> Iterator[ColumnElement[bool]]:
    begin = None if piece.begin is None else _key(source, piece.begin, "slice")
    if after is not None:
        # The slice's begin lies before every cursor of it: a second lower bound could only mislead a query planner.
        yield _compared(gt, source.order, _key(source, after, "cursor"))
    elif begin is not None:
        yield _compared(ge, source.order, begin)
    if piece.end is not None:
        yield _compared(lt, source.order, _key(source, piece.end, "slice"))


def _compared(compare: Comparison, order: Sequence[Column[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """`(a, b) > (x, y)`, or with >= or <, written so that an index on (a, b) serves on every database."""
    first, value = order[0], key[0]
    if len(order) == 1:
        return compare(first, value)
    strict, loose = (lt, le) if compare is lt else (gt, ge)
    return and_(loose(first, value), or_(strict(first, value), _compared(compare, order[1:], key[1:])))


def _key(source: Source, place: str, what: str) -> list[Any]:
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
