"""What the formats share: values that are checked against their declared fields, and records packed into blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import orjson

from portability.api import JSON, Dataset, Field, FieldType, Record
from portability.errors import FormatError
from portability.rows import SAFE_INTEGER, Batched, Rows

BLOCK_BYTES = 256 << 10

_DEPTH_MAX = 200
_INTEGER_BITS_MAX = 14_000  # about 4,200 digits: Python refuses to read more back


def encode_records(
    dataset: Dataset,
    records: Iterable[Record],
    line: Callable[[Sequence[JSON]], bytes],
    *,
    whole: Callable[[Rows], bytes] | None = None,
    head: bytes = b"",
) -> Iterator[bytes]:
    """Blocks of at least BLOCK_BYTES, but for the last; `line` gets a record's values in declared order.

    `whole` gets rows that have every declared field in its order: their source has seen to their types.

    Raises: FormatError for a value that does not fit its field; it names dataset, field and record, not the value.
    """
    checked = _Checked(dataset)
    block = bytearray(head)
    for batch in records.batches() if isinstance(records, Batched) else [records]:
        if whole is not None and isinstance(batch, Rows) and checked.knows(batch):
            checked.count += len(batch)
            text = whole(batch)
            if not block and len(text) >= BLOCK_BYTES:
                yield text  # as it is: a copy of everything costs as much as its hash
            else:
                block += text
        else:
            for record in batch:
                block += line(checked.values(record))
                if len(block) >= BLOCK_BYTES:
                    yield bytes(block)
                    block.clear()
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)


class _Checked:
    """Records against what their dataset declares."""

    def __init__(self, dataset: Dataset) -> None:
        self.count = 0
        self._dataset = dataset
        self._checks = [(field.name, _CHECKS[field.type]) for field in dataset.fields]
        self._names = dataset_names(dataset)

    def knows(self, rows: Rows) -> bool:
        return [name for name, _check in self._checks] == list(rows.names)

    def values(self, record: Record) -> Sequence[JSON]:
        """Of the declared fields, in their order. Raises FormatError."""
        self.count += 1
        where, number = self._dataset.name, self.count
        if not record.keys() <= self._names:
            raise FormatError(f"{where}, record {number}: a field that the dataset does not declare")
        values: list[JSON] = []
        for name, check in self._checks:
            value = record.get(name)
            try:
                values.append(None if value is None else check(value))
            except ValueError as error:
                reason = "a lone surrogate" if isinstance(error, UnicodeEncodeError) else error
                raise FormatError(f"{where}.{name}, record {number}: {reason}") from None
        return values


def dataset_names(dataset: Dataset) -> frozenset[str]:
    """Names of the declared fields."""
    return frozenset(field.name for field in dataset.fields)


def malformed(dataset: Dataset, number: int, fault: str, field: Field | None = None) -> FormatError:
    """The error for bytes that are no such document."""
    where = f"{dataset.name}.{field.name}" if field else dataset.name
    return FormatError(
        f"{where}, record {number}: {fault}", hint="the file was changed or cut, or is another dataset's"
    )


def json_text(value: JSON) -> bytes:
    """A checked value as JSON."""
    return orjson.dumps(value)


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise _other(value, "text")
    if not value.isascii():
        value.encode()
    return str.__str__(value)  # of a subclass, an enumeration's too, the text itself


def _integer(value: JSON) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _other(value, "an integer")
    if value.bit_length() > _INTEGER_BITS_MAX:
        raise ValueError("an integer of more than 4,200 digits")
    return value


def _number(value: JSON) -> int | float:
    if not isinstance(value, float):
        return _integer(value)
    if not math.isfinite(value):
        raise ValueError("NaN and Infinity are no JSON numbers")
    return value


def _boolean(value: JSON) -> bool:
    if not isinstance(value, bool):
        raise _other(value, "a boolean")
    return value


def _object(value: JSON, depth: int = 0) -> JSON:
    """A copy of plain types; integers beyond SAFE_INTEGER become strings, for no field says how to read them back."""
    if depth > _DEPTH_MAX:
        raise ValueError(f"more than {_DEPTH_MAX} levels")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        number = _number(value)
        return number if isinstance(number, float) or abs(number) <= SAFE_INTEGER else str(number)
    if isinstance(value, Mapping):
        return {_text(name): _object(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_object(inner, depth + 1) for inner in value]
    raise _other(value, "JSON")


def _other(value: object, wanted: str) -> ValueError:
    return ValueError(f"{type(value).__name__} where {wanted} is declared")


_CHECKS: Mapping[FieldType, Callable[[JSON], JSON]] = {
    FieldType.STRING: _text,
    FieldType.INTEGER: _integer,
    FieldType.NUMBER: _number,
    FieldType.DECIMAL: _text,
    FieldType.BOOLEAN: _boolean,
    FieldType.DATETIME: _text,
    FieldType.DATE: _text,
    FieldType.OBJECT: _object,
}
