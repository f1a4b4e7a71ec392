"""Rows are records: for any content, formats write the same bytes as for the records one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_strategies import datasets_with_records

from formats.csv import format as csv
from formats.jsonl import format as jsonl
from portability.api import JSON, Dataset, Field, FieldType, Format, Provenance, Record, Role
from portability.api.rows import Batched, Rows, line, lines, text

KINDS = {"id": FieldType.INTEGER, "custom": FieldType.OBJECT, "rate": FieldType.NUMBER}


def rows_of_records(dataset: Dataset, records: list[Record]) -> Rows:
    names = [field.name for field in dataset.fields]
    columns = [[record.get(name) for record in records] for name in names]
    return Rows(names, columns, bytes(lines(names, columns)))


@pytest.mark.parametrize("made", [jsonl, csv], ids=["jsonl", "csv"])
@given(datasets_with_records(), st.integers(0, 5))
def test_rows_are_written_as_records_are(made: Format, drawn: tuple[Dataset, list[Record]], cut: int) -> None:
    """Whole batches or single records, mixed in any order: the bytes do not differ."""
    dataset, records = drawn
    mixed = Batched(
        [rows_of_records(dataset, records[:cut]), records[cut : cut + 2], rows_of_records(dataset, records[cut + 2 :])]
    )

    assert b"".join(made.encode(dataset, mixed)) == b"".join(made.encode(dataset, records))


@pytest.mark.parametrize("made", [jsonl, csv], ids=["jsonl", "csv"])
@given(datasets_with_records(), st.booleans())
def test_slim_rows_and_rows_with_texts_are_the_same(
    made: Format, drawn: tuple[Dataset, list[Record]], is_slim: bool
) -> None:
    """Their values read again from their lines, or the texts of their values at hand: the bytes do not differ."""
    dataset, records = drawn
    full = rows_of_records(dataset, records)
    texts = [[text(value).decode() for value in column] for column in full.columns]
    bare = [[one.removeprefix('"').removesuffix('"') for one in column] for column in texts]
    other = full.slim() if is_slim else Rows(full.names, full.columns, full.lines, bare)

    assert (len(other), list(other.lines)) == (len(full), list(full.lines))
    assert b"".join(made.encode(dataset, Batched([other]))) == b"".join(made.encode(dataset, records))


@pytest.mark.parametrize("made", [jsonl, csv], ids=["jsonl", "csv"])
def test_integers_that_few_readers_keep(made: Format) -> None:
    """Beyond 2^53 - 1 they are strings within objects, and in fields as each format has it, in rows too."""
    fields = tuple(Field(name, kind, "A field.", Provenance.PROVIDED) for name, kind in KINDS.items())
    dataset = Dataset("things", "Things", "Things.", fields, Provenance.PROVIDED, Role.CONTROLLER, ("id",))
    records: list[Record] = [{"id": 2**60, "custom": {"deep": [2**70, -(2**53), 1]}, "rate": 0.5}]

    written = b"".join(made.encode(dataset, Batched([rows_of_records(dataset, records)])))

    assert written == b"".join(made.encode(dataset, records))
    assert b'1180591620717411303424"' in written


@given(datasets_with_records())
def test_rows_look_like_records(drawn: tuple[Dataset, list[Record]]) -> None:
    """By index, slice and iteration, with some of the fields, too."""
    dataset, records = drawn
    names = [field.name for field in dataset.fields]
    full: list[dict[str, Any]] = [{name: record.get(name) for name in names} for record in records]
    made = rows_of_records(dataset, records)

    assert (list(made), made[:2], len(made)) == (full, full[:2], len(full))
    assert all(made[place] == full[place] for place in range(len(full)))
    some = names[1:] or names
    assert list(made.only(some)) == [{name: one[name] for name in some} for one in full]
    assert made.only(some).lines == rows_of_some(full, some)
    assert made.only(names) is made


def rows_of_some(records: list[dict[str, Any]], names: list[str]) -> bytes:
    return b"".join(line(names, [record[name] for name in names]) for record in records)


@pytest.mark.parametrize("slim", ["slim", "whole"])
def test_parts_are_the_same_rows(slim: str) -> None:
    """Rows in parts of any size have the same values and lines, also integers beyond 2^53."""
    names = ["id", "number"]
    columns: list[list[JSON]] = [[str(n) for n in range(5)], [2**60, None, 1, -(2**60), 3]]
    whole = Rows(names, columns, bytes(lines(names, columns)))
    cut = whole.slim(frozenset({"number"})) if slim == "slim" else whole
    for count in (1, 2, 5, 9):
        parts = list(cut.parts(count))
        assert [record for part in parts for record in part] == list(whole)
        assert b"".join(part.lines for part in parts) == whole.lines
        assert max(map(len, parts)) == min(count, 5)
