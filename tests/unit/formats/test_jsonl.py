from __future__ import annotations

import json

import pytest

from formats.jsonl import format as json_lines
from portability.api import JSON, Dataset, Field, FieldType, Provenance, Record, Role
from portability.api.errors import FormatError


def dataset_of_types(*types: FieldType) -> Dataset:
    fields = tuple(Field(f"f{n}", kind, "A field.", Provenance.PROVIDED) for n, kind in enumerate(types))
    return Dataset("things", "Things", "Things.", fields, Provenance.PROVIDED, Role.CONTROLLER, ("f0",))


def encoded(kind: FieldType, value: JSON) -> bytes:
    return b"".join(json_lines.encode(dataset_of_types(kind), [{"f0": value}]))


def test_all_fields_in_declared_order() -> None:
    """A line has every declared field, in order; what a record lacks is null."""
    things = dataset_of_types(FieldType.STRING, FieldType.INTEGER, FieldType.OBJECT)
    records: list[Record] = [{"f2": {"b": 1, "a": 2}, "f0": "x"}, {}]
    data = b"".join(json_lines.encode(things, records))
    assert data == b'{"f0":"x","f1":null,"f2":{"b":1,"a":2}}\n{"f0":null,"f1":null,"f2":null}\n'


@pytest.mark.parametrize("kind", [FieldType.INTEGER, FieldType.NUMBER])
@pytest.mark.parametrize("value", [2**53 - 1, -(2**53) + 1, 2**53, -(2**53), 2**64, 10**300])
def test_big_integers(kind: FieldType, value: int) -> None:
    """Beyond 2^53 - 1 an integer is a string, for readers that have doubles only, and is read back as integer."""
    line = encoded(kind, value)
    assert (b'"f0":"' in line) == (abs(value) > 2**53 - 1)
    assert list(json_lines.decode(dataset_of_types(kind), line)) == [{"f0": value}]


def test_big_integers_in_objects() -> None:
    """Within an object they become strings too, and stay: no field says how to read them back."""
    assert json.loads(encoded(FieldType.OBJECT, {"id": [2**60, 5]})) == {"f0": {"id": [str(2**60), 5]}}


def test_lines_end_with_lf_alone() -> None:
    """A value's own line breaks, of any alphabet, break no line."""
    value = "a\nb\r\nc\u2028d\u2029e\x85f\x0b"
    line = encoded(FieldType.STRING, value)
    assert line.count(b"\n") == 1
    assert list(json_lines.decode(dataset_of_types(FieldType.STRING), line)) == [{"f0": value}]


@pytest.mark.parametrize(
    "data",
    [
        b'{"f0":"x"}',
        b'{"f0":"x"}\n{"f0"',
        b'{"f0":"x"}\n\n',
        b"[]\n",
        b"{}\n",
        b'{"f0":"x","f1":1}\n',
        b'{"f0":NaN}\n',
        b'{"f0":"\xff"}\n',
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    """What this format would not have written is an error with the record's number."""
    with pytest.raises(FormatError, match=r"things, record \d"):
        list(json_lines.decode(dataset_of_types(FieldType.STRING), data))


def test_text_in_an_integer_field_is_refused() -> None:
    """A string in an integer field must be an integer."""
    with pytest.raises(FormatError, match=r"things\.f0, record 1"):
        list(json_lines.decode(dataset_of_types(FieldType.INTEGER), b'{"f0":"x"}\n'))
