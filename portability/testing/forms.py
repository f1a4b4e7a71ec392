"""Checks of the contract of a form: a format whose writer has a larger unit than a piece."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

from portability.api import Dataset, FieldType, FormatError, Record, Unit, WriterFormat
from portability.testing.formats import DISTINCT, MEDIA_TYPE, REFUSED, SAMPLE, SUFFIX, VALUES, rows_of
from portability.testing.reading import require

OTHER = replace(SAMPLE, name="others", title="Others")
Batches = Sequence[tuple[Dataset, Sequence[Sequence[Record]]]]


class MemorySink:
    """A sink that keeps all files in memory, by name."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.bytes = 0

    def begin(self, name: str) -> None:
        require(name not in self.files, f"the file {name} begins twice")
        self._file = self.files[name] = bytearray()

    def write(self, block: bytes, /) -> None:
        require(type(block) is bytes, "a block is not bytes")
        self._file += block
        self.bytes += len(block)

    def take(self, name: str, file: BinaryIO) -> None:
        with file:
            file.seek(0)
            self.begin(name)
            self.write(file.read())


class _DroppingSink(MemorySink):
    """A sink that forgets what it is given."""

    def write(self, block: bytes, /) -> None:
        self.bytes += len(block)


def check_form(form: WriterFormat, dataset: Dataset = SAMPLE, records: Sequence[Record] = (VALUES,)) -> None:
    """Check that a form fulfils the contract of `portability.api.WriterFormat`.

    Args:
        form: the object of its entry point.
        dataset: one that the form knows; it must take datasets that it does not know, and may write nothing of them.
        records: records of the dataset that become something.

    Raises:
        AssertionError: a rule is broken; the text says which.
    """
    if not isinstance(form, WriterFormat):
        raise AssertionError(f"{type(form).__name__} lacks a member of the protocol WriterFormat")  # noqa: TRY004  # part of the contract
    require(form.unit in (Unit.VOLUME, Unit.RECORD), "the unit of a form is `volume` or `record`")
    require(bool(SUFFIX.fullmatch(str(form.suffix))), "the suffix must look like .xlsx")
    require(bool(MEDIA_TYPE.fullmatch(str(form.media_type))), "the media type must look like text/vcard")
    require(written_files(form, []) == {}, "it writes a file although no dataset began")
    _check_files(form, dataset, records)
    _check_batches(form)
    _check_values(form)
    _check_types(form, dataset)
    _check_abort(form, dataset, records)
    _check_memory(form)


def written_files(form: WriterFormat, batches: Batches) -> Mapping[str, bytes]:
    """Return the files of a form by name."""
    out = MemorySink()
    writer = form.open(out)
    try:
        for dataset, parts in batches:
            writer.begin("exporter", dataset)
            for part in parts:
                writer.write(part)
        writer.close()
    finally:
        writer.abort()
    return {name: bytes(file) for name, file in out.files.items()}


def _check_files(form: WriterFormat, dataset: Dataset, records: Sequence[Record]) -> None:
    files = written_files(form, [(dataset, [records])])
    require(bool(files), "it writes no file of records that it knows")
    require(all(name.endswith(form.suffix) for name in files), f"the name of a file does not end with {form.suffix}")
    require(written_files(form, [(dataset, [records])]) == files, "the bytes differ between two runs")


def _check_batches(form: WriterFormat) -> None:
    records: list[Record] = [VALUES | {"integer": number} for number in range(100)]
    whole = written_files(form, [(SAMPLE, [records]), (OTHER, [records]), (SAMPLE, [records])])
    for size in (1, 7, 100):
        parts = [records[begin : begin + size] for begin in range(0, 100, size)]
        split = written_files(form, [(SAMPLE, parts), (OTHER, parts), (SAMPLE, parts)])
        require(split == whole, f"in batches of {size} records the bytes differ")
        columns = list(map(rows_of, parts))
        split = written_files(form, [(SAMPLE, columns), (OTHER, columns), (SAMPLE, columns)])
        require(split == whole, f"in Rows of {size} records the bytes differ")
    written_files(form, [(SAMPLE, [[]]), (OTHER, [])])


def _check_values(form: WriterFormat) -> None:
    """Check that it takes every value that a format of records takes, and that an error does not contain the value."""
    for name, values in DISTINCT.items():
        written_files(form, [(SAMPLE, [[{name: value} for value in (None, *values)]])])
    for name, value in REFUSED:
        wrong: Any = {name: value}
        try:
            written_files(form, [(SAMPLE, [[VALUES, wrong]])])
        except FormatError as error:
            require("canary" not in str(error), f"{name}: the error message contains the value")
        except Exception as error:
            raise AssertionError(f"{name}: it raises {type(error).__name__} instead of FormatError") from error


def _check_types(form: WriterFormat, dataset: Dataset) -> None:
    """Check that it takes fields of every type under the names that it knows: a source may mean something else."""
    for name, values in DISTINCT.items():
        fields = tuple(replace(field, type=FieldType(name)) for field in dataset.fields)
        records = [dict.fromkeys((field.name for field in fields), value) for value in values]
        try:
            written_files(form, [(replace(dataset, fields=fields), [records])])
        except Exception as error:
            raise AssertionError(f"fields of the type {name}: it raises {type(error).__name__}") from error


def _check_abort(form: WriterFormat, dataset: Dataset, records: Sequence[Record]) -> None:
    steps: Sequence[Callable[[Any], object]] = (
        lambda writer: writer.begin("exporter", dataset),
        lambda writer: writer.write(records),
    )
    for count in range(len(steps) + 1):
        writer = form.open(MemorySink())
        for step in steps[:count]:
            step(writer)
        writer.abort()
        writer.abort()


def _check_memory(form: WriterFormat) -> None:
    """Check that 25 MB of records need the memory of a few."""
    tracemalloc.start()
    try:
        writer = form.open(_DroppingSink())
        writer.begin("exporter", SAMPLE)
        for number in range(2_500):
            writer.write([VALUES | {"string": f"{number} " * 2_000, "integer": number}])
        peak = tracemalloc.get_traced_memory()[1]
        writer.abort()
    finally:
        tracemalloc.stop()
    require(peak < 25 << 20, f"it needs {peak >> 20} MiB of memory for 25 MiB of records")
