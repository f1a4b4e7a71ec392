"""From a source to its query, and from a row of that query to a record, a file's promise and a place to go on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from sqlalchemy import Column, ColumnElement, Select, and_, or_, select

from exporters.files import Promise
from exporters.source import Source
from exporters.values import CONVERTERS, NOT_JSON, bytes_of, field_type, rfc3339
from portability.api import JSON, Cursor, FieldType, Gap, Record, Selection, Subject
from portability.errors import ExporterFault

Row: TypeAlias = Sequence[Any]
Selected: TypeAlias = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Taken:
    """One row, read."""

    record: Record
    bytes: int
    gaps: tuple[Gap, ...]
    key: Row
    promise: Promise | None


def rows_of(source: Source, subject: Subject, selection: Selection) -> ColumnElement[bool] | None:
    """The subject's rows within the selection; None: it can have none. Raises ExporterFault."""
    if selection.slice is not None:
        raise ExporterFault(f"{source.dataset.name} was never cut into slices")
    if subject.kind not in (source.dataset.subject_kinds or ()):
        return None
    rows = source.where(subject)
    if rows is None:
        return None
    clauses = [rows]
    if selection.since is not None:
        clauses.append(source.created >= selection.since)
    if selection.until is not None:
        clauses.append(source.created < selection.until)
    if selection.began_at is not None:
        clauses.append(source.created <= selection.began_at)
    if source.retention is not None:
        until, moment = source.retention.until, selection.began_at or datetime.now(UTC)
        clauses.append(or_(until.is_(None), until > moment, source.retention.hold))
    return and_(*clauses)


def statement(source: Source, rows: ColumnElement[bool], after: Cursor | None, limit: int) -> Selected:
    """Fields, keys and file columns of the next rows, in the stable order. Raises ExporterFault."""
    file = source.file
    columns = [*source.columns, *source.order]
    if file is not None:
        columns += [file.storage_key, file.media_type, file.bytes, file.sha256]
    # One column may stand in several places: labels keep the places apart.
    places = [column.label(f"c{place}") for place, column in enumerate(columns)]
    query = select(*places).select_from(source.origin).where(rows).order_by(*source.order).limit(limit)
    return query if after is None else query.where(_beyond(source.order, _key(source, after)))


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
    """The place after a row."""
    return json.dumps([rfc3339(v) if isinstance(v, datetime) else v for v in key], separators=(",", ":"))


def _named(source: Source, record: Record) -> str:
    """What a gap calls the record."""
    return "/".join([source.dataset.name, *(str(record[name]) for name in source.dataset.key)])


def _beyond(order: Sequence[Column[Any]], key: Sequence[Any]) -> ColumnElement[bool]:
    """`(a, b) > (x, y)`, written so that an index on (a, b) serves on every database."""
    first, value = order[0], key[0]
    beyond: ColumnElement[bool] = first > value
    return beyond if len(order) == 1 else and_(first >= value, or_(beyond, _beyond(order[1:], key[1:])))


def _key(source: Source, after: Cursor) -> list[Any]:
    try:
        values = json.loads(after)
        return [_value(column, value) for column, value in zip(source.order, values, strict=True)]
    except (TypeError, ValueError):
        raise ExporterFault(f"{source.dataset.name}: the cursor is not from here") from None


def _value(column: Column[Any], value: JSON) -> str | int | datetime:
    if field_type(column.type) is FieldType.DATETIME and isinstance(value, str):
        return datetime.fromisoformat(value)
    if isinstance(value, str | int):
        return value
    raise TypeError
