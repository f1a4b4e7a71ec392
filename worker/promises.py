"""What an exporter promises of each batch, checked where it comes in: what passes here, the pipeline can carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from portability.api import Batch, File, Gap, Record
from portability.errors import ExporterFault
from portability.rows import Rows
from worker.plan import Line

REASON_CHARS = 64
"""Of a gap's reason, in the database."""


def kept(batch: Any, line: Line) -> Batch:  # noqa: ANN401  # what a stranger yields, whatever the protocol says
    """The batch, its records with the fields that the profile takes. Raises ExporterFault, never with a value in it."""
    name = line.name
    cursor = getattr(batch, "cursor", None)
    if not isinstance(batch, Batch) or not isinstance(cursor, str) or cursor != storable(cursor):
        raise ExporterFault(f"{name} yielded {type(batch).__name__}, not a Batch with a cursor of plain text")
    rows = batch.records if isinstance(batch.records, Rows) else None
    if rows is None:
        _check_kind(batch.records, Mapping, f"{name}: a record")
    _check_kind(batch.files, File, f"{name}: a file")
    _check_kind(batch.gaps, Gap, f"{name}: a gap")
    for file in batch.files:
        _check_file(file, name)
    # Copies: an exporter may fill one list again and again, and the reader looks a batch ahead.
    records: Sequence[Record]
    if rows is not None:
        records = _columns_of(rows, line, name)
    else:
        records = tuple(_fields_of(record, line, name) for record in batch.records)
    gaps = tuple(map(_storable_gap, batch.gaps))
    return replace(batch, records=records, files=tuple(named_apart(batch.files)), gaps=gaps)


def storable(text: str) -> str:
    """The text without what JSON (lone surrogates) or PostgreSQL (NUL) cannot carry."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _check_kind(values: object, kind: type, what: str) -> None:
    if not isinstance(values, Sequence):
        raise ExporterFault(f"{what} comes in a {type(values).__name__}, not in a sequence")
    for value in values:
        if not isinstance(value, kind):
            raise ExporterFault(f"{what} is a {type(value).__name__}")


def _check_file(file: Any, name: str) -> None:  # noqa: ANN401  # a File, with whatever is in its fields
    has_size = file.size is None or (isinstance(file.size, int) and file.size >= 0)
    has_names = isinstance(file.name, str) and isinstance(file.media_type, str)
    if not has_size or not has_names or file.media_type != storable(file.media_type):
        raise ExporterFault(f"{name}: a file has a name, media type or size that is none")


def _storable_gap(gap: Gap) -> Gap:
    return Gap(storable(str(gap.what)), storable(str(gap.reason))[:REASON_CHARS], bool(gap.retryable))


def _fields_of(record: Record, line: Line, name: str) -> Record:
    if undeclared := record.keys() - line.declared:
        # Field names of a stranger may be values by mistake: they are counted, not told.
        raise ExporterFault(f"{name} yielded {len(undeclared)} undeclared field(s)")
    return {field.name: record[field.name] for field in line.dataset.fields if field.name in record}


def _columns_of(rows: Rows, line: Line, name: str) -> Rows:
    if undeclared := set(rows.names) - line.declared:
        raise ExporterFault(f"{name} yielded {len(undeclared)} undeclared field(s)")
    return rows.only([field.name for field in line.dataset.fields if field.name in rows.names])


def named_apart(files: Sequence[File]) -> Iterator[File]:
    """The files by names that can be stored, no two alike: a position finds its file again by name."""
    taken: set[str] = set()
    for file in files:
        name = storable(file.name)
        stem, dot, suffix = name.rpartition(".")
        twins = 1
        while name in taken:
            twins += 1
            name = f"{stem}-{twins}.{suffix}" if dot else f"{suffix}-{twins}"
        taken.add(name)
        yield file if name == file.name else replace(file, name=name)
