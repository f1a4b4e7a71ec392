"""Checks values against their declared fields: every format can represent a value that passes, without loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from portability.api.errors import FormatError
from portability.api.nouns import JSON, Dataset, Record
from portability.api.rows import SAFE_INTEGER, Rows
from portability.api.tags import FieldType

_DEPTH_MAX = 200
_INTEGER_BITS_MAX = 14_000  # about 4,200 digits: Python refuses to parse more


class RecordChecker:
    """Checks records against the fields that their dataset declares, one after the other."""

    def __init__(self, dataset: Dataset) -> None:
        self.count = 0
        """The number of records checked so far."""
        self._dataset = dataset
        self._checks = [(field.name, _CHECKS[field.type]) for field in dataset.fields]
        self._names = frozenset(field.name for field in dataset.fields)

    def knows(self, rows: Rows) -> bool:
        """Return whether rows have all declared fields in order; the source has then already checked their types."""
        return [name for name, _check in self._checks] == list(rows.names)

    def values(self, record: Record) -> Sequence[JSON]:
        """Return the values of the declared fields in their order, as plain types; None where the record has no value.

        An integer beyond SAFE_INTEGER inside an object becomes a string, because no field type marks it.

        Raises: FormatError for a value of another type, NaN and infinity, a lone surrogate, or an undeclared field. The
        message names dataset, field and number of the record, never the value.
        """
        self.count += 1
        where, number = self._dataset.name, self.count
        if not record.keys() <= self._names:
            raise FormatError(f"{where}, record {number}: undeclared field")
        values: list[JSON] = []
        for name, check in self._checks:
            value = record.get(name)
            try:
                values.append(None if value is None else check(value))
            except ValueError as error:
                reason = "a lone surrogate" if isinstance(error, UnicodeEncodeError) else error
                raise FormatError(f"{where}.{name}, record {number}: {reason}") from None
        return values

    def columns(self, records: Sequence[Record]) -> Sequence[Sequence[JSON]]:
        """Return a batch by column, in the order of the declared fields. Raises FormatError as `values` does."""
        if isinstance(records, Rows) and self.knows(records):
            self.count += len(records)
            return records.columns
        return list(zip(*map(self.values, records), strict=True)) or [()] * len(self._checks)


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise _other(value, "text")
    if not value.isascii():
        value.encode()
    return str.__str__(value)  # for subclasses of str, such as enumerations, the plain text


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
        raise ValueError("NaN and Infinity are not JSON numbers")
    return value


def _boolean(value: JSON) -> bool:
    if not isinstance(value, bool):
        raise _other(value, "a boolean")
    return value


def _object(value: JSON, depth: int = 0) -> JSON:
    """Copy a value into plain types; integers beyond SAFE_INTEGER become strings, because no field type marks them."""
    if depth > _DEPTH_MAX:
        raise ValueError(f"nested more than {_DEPTH_MAX} levels deep")
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
    return ValueError(f"found {type(value).__name__}, expected {wanted}")


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
