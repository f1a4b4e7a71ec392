"""Parquet: one file for each dataset of a volume, for programs that read columns (docs/forms.md).

It needs the extra `parquet`. Times and dates are of their types; decimals are texts with all their digits, objects are
JSON text. A value that its column cannot have is NULL, and is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from formats.values import UnseekableStream
from portability.api import Dataset, FieldType, FormatWriter, Record, RecordChecker, Sink, Unit, rows
from portability.errors import MissingExtra

FOLDER = "parquet"
GROUP_ROWS = 10_000
GROUP_BYTES = 32 << 20
"""A group of rows ends earlier at this size, between two batches."""
_INT64 = 2**63


class Parquet:
    """The form `parquet`."""

    unit = Unit.VOLUME

    @property
    def suffix(self) -> str:
        return ".parquet"

    @property
    def media_type(self) -> str:
        return "application/vnd.apache.parquet"

    def open(self, out: Sink) -> FormatWriter:
        """Begin the files of a volume. Raises MissingExtra."""
        if find_spec("pyarrow") is None:
            raise MissingExtra("Parquet needs pyarrow", hint='pip install "vlint-portability[parquet]"')
        return ParquetWriter(out)


class ParquetWriter:
    """Writes one file at a time. A dataset that comes again gets another file."""

    _arrow: Any
    """The module, loaded with the first dataset: it takes 47 MB. Its types are not known without the extra."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._file: Any = None
        self._pending: list[Any] = []
        self._pending_bytes = self._pending_rows = 0
        self._names: Counter[str] = Counter()
        self._losses: Counter[str] = Counter()

    @property
    def held(self) -> int:
        return self._pending_bytes

    def begin(self, exporter: str, dataset: Dataset) -> None:
        self._end()
        self._arrow = import_module("pyarrow")
        name = f"{FOLDER}/{exporter}/{dataset.name}"
        self._names[name] += 1
        number = self._names[name]
        self._out.begin(f"{name}.parquet" if number == 1 else f"{name}-{number}.parquet")
        self._checker = RecordChecker(dataset)
        self._kinds = [field.type for field in dataset.fields]
        self._schema = self._arrow.schema(
            [
                self._arrow.field(field.name, self._type(field.type), metadata={"description": field.description})
                for field in dataset.fields
            ]
        )
        self._stream = UnseekableStream(self._out.write)
        self._file = import_module("pyarrow.parquet").ParquetWriter(
            self._arrow.PythonFile(self._stream, mode="w"), self._schema, compression="zstd"
        )

    def write(self, records: Sequence[Record]) -> None:
        if not records:
            return
        columns = [
            self._arrow.array(self._values(kind, column), type=self._type(kind))
            for kind, column in zip(self._kinds, self._checker.columns(records), strict=True)
        ]
        self._keep(self._arrow.RecordBatch.from_arrays(columns, schema=self._schema))
        if self._pending_bytes >= GROUP_BYTES:
            self._write_groups(self._pending_rows)
        elif self._pending_rows >= GROUP_ROWS:
            self._write_groups(self._pending_rows // GROUP_ROWS * GROUP_ROWS)

    def close(self) -> Mapping[str, int]:
        self._end()
        return dict(self._losses)

    def abort(self) -> None:
        if self._file is not None:
            self._stream.drop()
            self._end()

    def _end(self) -> None:
        if self._file is not None:
            if self._pending:
                self._write_groups(self._pending_rows)
            self._file.close()
            self._file = None

    def _keep(self, batch: Any) -> None:  # noqa: ANN401  # a batch of pyarrow
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        self._pending_rows += batch.num_rows

    def _write_groups(self, end: int) -> None:
        """Write the first `end` rows, in groups of GROUP_ROWS."""
        whole = self._arrow.Table.from_batches(self._pending)
        self._file.write_table(whole.slice(0, end), row_group_size=GROUP_ROWS)
        self._pending, self._pending_bytes, self._pending_rows = [], 0, 0
        for batch in whole.slice(end).to_batches():
            self._keep(batch)

    def _type(self, kind: FieldType) -> Any:  # noqa: ANN401  # a type of pyarrow
        match kind:
            case FieldType.INTEGER:
                return self._arrow.int64()
            case FieldType.NUMBER:
                return self._arrow.float64()
            case FieldType.BOOLEAN:
                return self._arrow.bool_()
            case FieldType.DATETIME:
                return self._arrow.timestamp("us", tz="UTC")
            case FieldType.DATE:
                return self._arrow.date32()
            case _:
                return self._arrow.string()

    def _values(self, kind: FieldType, column: Sequence[Any]) -> Sequence[Any]:
        convert = _CONVERT.get(kind)
        if convert is None:
            return column
        found = [None if value is None else convert(value) for value in column]
        self._losses["values_left"] += found.count(None) - column.count(None)
        return found


def _integer(value: int) -> int | None:
    return value if -_INT64 <= value < _INT64 else None


def _number(value: Any) -> float | None:  # noqa: ANN401  # an integer or a float
    return float(value) if abs(value) <= rows.SAFE_INTEGER or isinstance(value, float) else None


def _moment(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


def _object(value: Any) -> str:  # noqa: ANN401  # a JSON value
    return rows.text(value).decode()


_CONVERT: Mapping[FieldType, Callable[[Any], object]] = {
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: _number,
    FieldType.DATETIME: _moment,
    FieldType.DATE: _day,
    FieldType.OBJECT: _object,
}
format = Parquet()  # noqa: A001  # the name in the entry point and the plug-in guide
