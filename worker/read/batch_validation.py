"""Validation of batches: checks the exporter's contract, so that the pipeline can process every batch that passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from portability.api import Batch, File, Gap, Record, RowRemark
from portability.api.errors import ExporterFault
from portability.api.names import storable
from portability.api.rows import Rows
from worker.plan.plan import PlanLine
from worker.read import nested_keys

REASON_CHARS = 64
"""The maximum length of a gap's reason, in the database."""


def kept(batch: Any, line: PlanLine) -> Batch:  # noqa: ANN401  # what a stranger yields, whatever the protocol says
    """Return the batch with the fields and nested keys that the profile takes; undeclared nested keys become gaps.

    Raises: ExporterFault, without values in its message.
    """
    name = line.name
    cursor = getattr(batch, "cursor", None)
    if not isinstance(batch, Batch) or not isinstance(cursor, str) or cursor != storable(cursor):
        raise ExporterFault(f"{name} yielded a {type(batch).__name__} instead of a Batch with a cursor of plain text")
    rows = batch.records if isinstance(batch.records, Rows) else None
    if rows is None:
        _check_kind(batch.records, Mapping, f"{name}: a record")
    _check_kind(batch.files, File, f"{name}: a file")
    _check_kind(batch.gaps, Gap, f"{name}: a gap")
    for file in batch.files:
        _check_file(file, name)
    # Copies: an exporter may reuse one list, and the reader is a batch ahead.
    records: Sequence[Record]
    if rows is not None:
        records = _columns_of(rows, line, name)
    else:
        records = tuple(_fields_of(record, line, name) for record in batch.records)
    gaps = tuple(_storable_gap(gap, line) for gap in batch.gaps if _is_of_interest(gap, line))
    records, undecided = nested_keys.decided(line.dataset, records)
    remarks = _places(batch.remarks, frozenset(RowRemark), len(records), f"{name}: a remark")
    known = frozenset(withheld.name for withheld in line.dataset.withheld)
    filled = _places(batch.withheld, known, len(records), f"{name}: a withheld value")
    files = named_apart(batch.files)
    gaps = (*gaps, *undecided, *_unclear(line, records, batch.files))
    return replace(batch, records=records, files=files, gaps=gaps, remarks=remarks, withheld=filled)


def _check_kind(values: object, kind: type, what: str) -> None:
    if not isinstance(values, Sequence):
        raise ExporterFault(f"{what} comes in a {type(values).__name__} instead of a sequence")
    for value in values:
        if not isinstance(value, kind):
            raise ExporterFault(f"{what} is a {type(value).__name__}; expected {kind.__name__}")


def _places(given: Any, known: frozenset[Any], records: int, what: str) -> dict[Any, tuple[int, ...]]:  # noqa: ANN401  # as above
    """Return a copy of a mapping to indexes of records, each index once."""
    if not isinstance(given, Mapping) or not given.keys() <= known:
        raise ExporterFault(f"{what} has an unknown name")
    for places in given.values():
        _check_kind(places, int, f"{what}: an index")
        if places and not 0 <= min(places) <= max(places) < records:
            raise ExporterFault(f"{what} names a record that the batch does not have")
    return {name: tuple(sorted(set(places))) for name, places in given.items()}


def _check_file(file: Any, name: str) -> None:  # noqa: ANN401  # a File, with whatever is in its fields
    has_size = file.size is None or (isinstance(file.size, int) and file.size >= 0)
    has_names = isinstance(file.name, str) and isinstance(file.media_type, str)
    if not has_size or not has_names or file.media_type != storable(file.media_type):
        raise ExporterFault(f"{name}: a file has an invalid name, media type or size")


def _is_of_interest(gap: Gap, line: PlanLine) -> bool:
    """Return whether a gap is in a field that the profile takes; a gap without names of fields always is."""
    key: Any = gap.key
    fields: Any = gap.fields
    if not isinstance(key, tuple) or not isinstance(fields, tuple) or not set(fields) <= line.declared:
        raise ExporterFault(f"{line.name}: a gap has an invalid key, or names a field that is not declared")
    if key and len(key) != len(line.dataset.key):
        raise ExporterFault(f"{line.name}: the key of a gap has {len(key)} values, not {len(line.dataset.key)}")
    return not gap.fields or any(field.name in gap.fields for field in line.dataset.fields)


def _storable_gap(gap: Gap, line: PlanLine) -> Gap:
    """Return the gap as the database can store it. A key that changes by this would name no record: it is left out."""
    is_plain = all(type(value) is int or (type(value) is str and value == storable(value)) for value in gap.key)
    taken = {field.name for field in line.dataset.fields}
    return Gap(
        *(storable(str(gap.what)), storable(str(gap.reason))[:REASON_CHARS], bool(gap.retryable)),
        key=gap.key if is_plain else (),
        fields=tuple(str.__str__(name) for name in gap.fields if name in taken),
    )


def _fields_of(record: Record, line: PlanLine, name: str) -> Record:
    if undeclared := record.keys() - line.declared:
        # Field names of third-party code may be values by mistake: report their number, not their text.
        raise ExporterFault(f"{name} yielded {len(undeclared)} undeclared field(s)")
    return {field.name: record[field.name] for field in line.dataset.fields if field.name in record}


def _columns_of(rows: Rows, line: PlanLine, name: str) -> Rows:
    if undeclared := set(rows.names) - line.declared:
        raise ExporterFault(f"{name} yielded {len(undeclared)} undeclared field(s)")
    return rows.only([field.name for field in line.dataset.fields if field.name in rows.names])


def _unclear(line: PlanLine, records: Sequence[Record], files: Sequence[File]) -> Iterator[Gap]:
    """Yield a gap for each record that names a file whose name two files of the batch have: it may be the other."""
    counted = Counter(file.name for file in files)
    if len(counted) == len(files):
        return
    for record in records:
        key: Any = tuple(record.get(name) for name in line.dataset.key)
        for field, value in record.items():
            if isinstance(value, str) and counted[value] > 1:
                what = f"{line.dataset.name}/{'/'.join(map(str, key))}/{field}"
                yield _storable_gap(Gap(what, ExporterFault.code, key=key, fields=(field,)), line)


def named_apart(files: Sequence[File]) -> tuple[File, ...]:
    """Return the files with storable names that are all different: a position finds its file by name."""
    apart: list[File] = []
    taken: set[str] = set()
    for file in files:
        name = free_name(storable(file.name), taken)
        taken.add(name)
        apart.append(file if name == file.name else replace(file, name=name))
    return tuple(apart)


def free_name(wanted: str, taken: Collection[str]) -> str:
    """Return a name, with a number before its extension if it is taken."""
    stem, dot, suffix = wanted.rpartition(".")
    name, twins = wanted, 1
    while name in taken:
        twins += 1
        name = f"{stem}-{twins}.{suffix}" if dot else f"{suffix}-{twins}"
    return name
