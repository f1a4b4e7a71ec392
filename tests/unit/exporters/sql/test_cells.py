"""Joined columns: the same values, and the same JSON, as for their cells one by one."""

from __future__ import annotations

import json
import math
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.exporters.sql.test_bulk import as_postgresql_writes

from exporters.sql.cells import SEPARATOR, NotJoined, cells, lines
from exporters.sql.values import CONVERTERS, NOT_JSON
from portability.api import JSON, FieldType, rows

NULL = "no value"
FLOATS = st.floats().map(
    lambda f: {math.inf: "Infinity", -math.inf: "-Infinity"}.get(f, "NaN" if math.isnan(f) else repr(f))
)
WHOLE = st.integers(-(10**14), 10**14).map(str) | st.sampled_from(
    ["0", "-0", "1e+15", "1e-05", "123456789012345.6", str(-(10**14))]
)
SECONDS = st.datetimes(timezones=st.just(UTC)).map(lambda t: t.replace(microsecond=0).isoformat(" ")[:-3])
FRACTIONS = st.datetimes(timezones=st.just(UTC)).filter(lambda t: t.microsecond > 0).map(as_postgresql_writes)
ODD_TIMES = st.sampled_from(
    ["infinity", "0044-03-15 00:00:00+00 BC", "12026-11-24 08:30:00+00", "2026-11-24 08:30:00+07"]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=["\0"]))
HARD_TEXTS = st.sampled_from(["", '"', "\\", "\\u001f", "a\x1eb", "\x1d", "\n", "}, {", "\N{SEEDLING}"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | HARD_TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = (VALUES | st.lists(st.just({})) | st.sampled_from(["},{", {"a": "},{"}, [{"a": 1}, {"b": 2}]])).map(
    json.dumps
)
COLUMNS = {
    FieldType.STRING: TEXTS | HARD_TEXTS,
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1).map(str),
    FieldType.NUMBER: FLOATS | WHOLE,
    FieldType.BOOLEAN: st.sampled_from(["true", "false"]),
    FieldType.DECIMAL: st.decimals(places=2, allow_nan=True, allow_infinity=True).map(lambda d: f"{d:f}"),
    FieldType.DATETIME: SECONDS | FRACTIONS | ODD_TIMES,
    FieldType.DATE: st.dates().map(str) | st.just("infinity"),
    FieldType.OBJECT: OBJECTS,
}


def as_a_driver(kind: FieldType, cell: str) -> object:
    """A cell as a driver gives it."""
    if kind is FieldType.INTEGER:
        return int(cell)
    if kind is FieldType.NUMBER:
        return float(cell)
    return cell == "true" if kind is FieldType.BOOLEAN else cell


def one_by_one(kind: FieldType, column: list[str | None]) -> list[JSON]:
    return [None if cell is None else CONVERTERS[kind](as_a_driver(kind, cell)) for cell in column]


@pytest.mark.parametrize("kind", COLUMNS)
@given(st.data())
def test_a_joined_column_is_converted_as_its_cells_are(kind: FieldType, data: st.DataObject) -> None:
    """Values and JSON, with NULL anywhere; a column that cannot be split or converted is refused as a whole."""
    column = data.draw(st.lists(st.none() | COLUMNS[kind], min_size=1))
    joined = SEPARATOR.join(NULL if cell is None else cell for cell in column)
    try:
        wanted = None if any(SEPARATOR in (cell or "") for cell in column) else one_by_one(kind, column)
    except NOT_JSON:
        wanted = None
    if wanted is None:
        with pytest.raises(NotJoined):
            cells(kind, joined, len(column), NULL)
        return

    found = cells(kind, joined, len(column), NULL)

    assert list(map(repr, found.values)) == list(map(repr, wanted))
    assert lines(["a", 'b"'], [found, found], len(column)) == rows.lines(["a", 'b"'], [wanted, wanted])


@pytest.mark.parametrize("seconds", [SECONDS, FRACTIONS, SECONDS | FRACTIONS], ids=["whole", "parts", "mixed"])
@given(st.data())
def test_times_as_postgresql_writes_them(seconds: st.SearchStrategy[str], data: st.DataObject) -> None:
    """With and without fractions, alone and mixed."""
    column = data.draw(st.lists(seconds, min_size=1))

    found = cells(FieldType.DATETIME, SEPARATOR.join(column), len(column), NULL)

    assert list(found.values) == [CONVERTERS[FieldType.DATETIME](time) for time in column]


@pytest.mark.parametrize("cell", ["100000000000000", "-100000000000000", "-999999999999999"])
def test_a_whole_number_of_fifteen_digits_is_converted(cell: str) -> None:
    """A double represents each of them; the sign is not a digit."""
    assert list(cells(FieldType.NUMBER, cell, 1, NULL).values) == [float(cell)]


def test_a_missing_or_additional_cell_is_noticed() -> None:
    """A separator within a value, or a NULL that was left out, makes another number of cells."""
    for count in (1, 3):
        with pytest.raises(NotJoined):
            cells(FieldType.STRING, f"a{SEPARATOR}b", count, NULL)
