from __future__ import annotations

import csv
import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_strategies import cuts, datasets_with_records, in_blocks, text_dataset

from formats.csv import format as csv_format
from portability.api import Dataset, Record

csv.field_size_limit(sys.maxsize)
TEXT = text_dataset(columns=2)


@pytest.mark.requirement("R35")
@given(datasets_with_records(), cuts())
def test_what_is_written_is_read_back(given_data: tuple[Dataset, list[Record]], sizes: list[int]) -> None:
    """Every record of every type is read back equal, with NULL and '' different, for all cuts of blocks."""
    dataset, records = given_data
    data = b"".join(csv_format.encode(dataset, records))
    assert list(csv_format.decode(dataset, in_blocks(data, sizes))) == records


texts = st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.text("\"',\r\n\t =+-@＝\ufeff\0a")  # noqa: RUF001  # full-width on purpose


@given(st.lists(st.fixed_dictionaries({"f0": texts, "f1": texts})))
def test_strangers_read_it(records: list[Record]) -> None:
    """Python's csv reads the same texts, except for the mark of formulas and NULL as ''."""
    data = b"".join(csv_format.encode(TEXT, records)).decode()
    header, *rows = csv.reader(io.StringIO(data, newline=""), strict=True)
    assert header == ["f0", "f1"]
    assert [[cell.removeprefix("'") for cell in row] for row in rows] == [
        [record["f0"] or "", record["f1"] or ""] for record in records
    ]


@pytest.mark.requirement("R35")
@given(st.lists(st.fixed_dictionaries({"f0": texts, "f1": texts})))
def test_no_cell_is_a_formula(records: list[Record]) -> None:
    """As a spreadsheet sees it, blanks and marks skipped, no text begins like a formula."""
    data = b"".join(csv_format.encode(TEXT, records)).decode()
    for row in csv.reader(io.StringIO(data, newline=""), strict=True):
        for cell in row:
            assert not cell.lstrip(" \ufeff\0\x0b\x0c\xa0").startswith(tuple("=+-@\t\r\n＝＋－＠"))  # noqa: RUF001  # as above
