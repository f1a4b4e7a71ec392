"""The workbook as other programs read it: openpyxl, calamine, and the XML itself."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from zipfile import ZipFile

import openpyxl
import pytest
from python_calamine import CalamineWorkbook
from viewed import BUILT_IN

from formats import xlsx
from portability.api import JSON, Dataset, Field, FieldType, Provenance, Record, Role
from portability.testing.forms import MemorySink, written_files

TRAPS: dict[str, JSON] = {
    "id": "00123",
    "phone": "+6281234567890",
    "formula": '=1+1&HYPERLINK("http://x.test")',
    "name": "é e\u0301 \u05e9\u05dc\u05d5\u05dd \U0001f600" + "n" * 290,
    "spaces": "  two\n lines\t ",
    "escape": "_x0041_ & <b>",
    "amount": "12345678901234567890123456789.10",
    "large": 2**60,
    "small": -42,
    "share": 0.1,
    "flag": False,
    "at": "2026-03-01T08:30:05Z",
    "on": "1899-12-31",
    "tags": ["a", {"b": 2**60}],
    "empty": "",
    "null": None,
}
TYPES = {
    "amount": FieldType.DECIMAL,
    "large": FieldType.INTEGER,
    "small": FieldType.INTEGER,
    "share": FieldType.NUMBER,
    "flag": FieldType.BOOLEAN,
    "at": FieldType.DATETIME,
    "on": FieldType.DATE,
    "tags": FieldType.OBJECT,
}
SHOWN = TRAPS | {"large": str(2**60), "tags": '["a",{"b":"1152921504606846976"}]'}
"""What a reader sees: all of it unchanged, but for these two as texts."""


def typed(name: str, fields: Sequence[str]) -> Dataset:
    declared = tuple(Field(f, TYPES.get(f, FieldType.STRING), f"Its {f}.", Provenance.PROVIDED) for f in fields)
    return Dataset(name, name.title(), f"Made-up {name}.", declared, Provenance.PROVIDED, Role.CONTROLLER, ("id",))


def workbook(*parts: tuple[Dataset, list[Record]]) -> bytes:
    files = written_files(xlsx.format, [(dataset, [records]) for dataset, records in parts])
    assert list(files) == ["my-data.xlsx"]
    return files["my-data.xlsx"]


def test_openpyxl_reads_every_trap_as_it_is() -> None:
    """Leading zeros, formulas, 29 digits, combining marks, texts from right to left and NULL stay what they are."""
    book = openpyxl.load_workbook(BytesIO(workbook((typed("traps", list(TRAPS)), [TRAPS]))))
    assert book.sheetnames == ["About", "exporter.traps", "Fields"]
    head, row = book["exporter.traps"].iter_rows()
    assert [cell.value for cell in head] == list(TRAPS)
    found = dict(zip(TRAPS, row, strict=True))
    # openpyxl does not decode the escape of Excel, and reads an empty text as nothing.
    assert found["escape"].value == "_x005F_x0041_ & <b>"
    others = {name: cell.value for name, cell in found.items() if name not in {"escape", "empty"}}
    assert others == {name: value for name, value in SHOWN.items() if name not in {"escape", "empty"}}
    assert "f" not in {cell.data_type for cell in row}, "a cell is a formula"


def test_calamine_reads_every_trap_as_it_is() -> None:
    """So does a second reader, which decodes the escape."""
    book = CalamineWorkbook.from_filelike(BytesIO(workbook((typed("traps", list(TRAPS)), [TRAPS]))))
    rows = book.get_sheet_by_name("exporter.traps").to_python()
    assert rows[0] == list(TRAPS)
    assert dict(zip(TRAPS, rows[1], strict=True)) == SHOWN | {"null": ""}


def test_sheets_say_what_they_hold() -> None:
    """The first sheet names the others, the last explains their fields; equal names get a number."""
    first, second = typed("a" * 40, ["id"]), typed("a" * 41, ["id"])
    book = openpyxl.load_workbook(BytesIO(workbook((first, [{"id": "1"}]), (second, [{"id": "2"}, {"id": "3"}]))))
    names = ["exporter." + "a" * 22, "exporter." + "a" * 20 + " 2"]
    assert book.sheetnames == ["About", *names, "Fields"]
    about = [[cell.value for cell in row] for row in book["About"].iter_rows()]
    assert about[-2:] == [[names[0], first.title, "1", "0"], [names[1], second.title, "2", "0"]]
    fields = [[cell.value for cell in row][:4] for row in book["Fields"].iter_rows()]
    assert fields[1] == [names[0], "id", "string", "Its id."]


def test_the_last_sheets_have_the_words_of_every_language() -> None:
    """The heads of columns are the names of fields; a reader finds their names and those of values in any language."""
    (calls,) = (one for one in BUILT_IN["calls"] if one.name == "calls")
    book = openpyxl.load_workbook(BytesIO(b"".join(_of_calls(calls))))
    fields, values = ([[cell.value for cell in row] for row in book[name].iter_rows()] for name in ("Fields", "Values"))
    place = fields[0].index("name (id)")

    assert book.sheetnames == ["About", "calls.calls", "Fields", "Values"]
    assert next(row[place] for row in fields if row[1] == "started_at") == "Dimulai pada"
    assert ["calls.calls", "status", "missed"] in [row[:3] for row in values]
    assert next(row for row in values if row[2] == "missed")[values[0].index("id")] == "Tak terjawab"


def _of_calls(calls: Dataset) -> Sequence[bytes]:
    out = MemorySink()
    writer = xlsx.format.open(out)
    writer.begin("calls", calls)
    writer.close()
    return [bytes(file) for file in out.files.values()]


@pytest.mark.parametrize(
    ("value", "shown", "losses"),
    [
        ("x" * 32_767, "x" * 32_767, {}),
        ("x" * 32_768, "x" * (32_767 - len(xlsx.CUT)) + xlsx.CUT, {"cells_cut": 1}),
        ("\U0001f600" * 16_384, "\U0001f600" * ((32_767 - len(xlsx.CUT)) // 2) + xlsx.CUT, {"cells_cut": 1}),
        ("a\x01b\x1f\ufffe\r\nc", "a\u2401b\u241f\ufffd\nc", {"controls_replaced": 1}),
    ],
    ids=["longest", "cut", "emoji", "controls"],
)
def test_what_a_cell_cannot_hold_is_cut_and_counted(value: str, shown: str, losses: dict[str, int]) -> None:
    """A cell has 32,767 UTF-16 units, and XML has no control characters: nothing is lost without a count."""
    out = MemorySink()
    writer = xlsx.format.open(out)
    writer.begin("exporter", typed("texts", ["id"]))
    writer.write([{"id": value}])
    assert writer.close() == losses
    book = openpyxl.load_workbook(BytesIO(out.files["my-data.xlsx"]))
    assert book["exporter.texts"]["A2"].value == shown


def test_rows_beyond_the_cap_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is of all sheets together; the first sheet says how many rows of which are only elsewhere."""
    monkeypatch.setattr(xlsx, "ROWS_MAX", 3)
    assert xlsx.ROWS_MAX < 1_048_576
    out = MemorySink()
    writer = xlsx.format.open(out)
    for name in ("one", "two"):
        writer.begin("exporter", typed(name, ["id"]))
        writer.write([{"id": "1"}, {"id": "2"}])
        writer.write([])
    assert writer.close() == {"rows_cut": 1}
    book = openpyxl.load_workbook(BytesIO(out.files["my-data.xlsx"]))
    assert [book[f"exporter.{name}"].max_row for name in ("one", "two")] == [3, 2]
    about = [[cell.value for cell in row] for row in book["About"].iter_rows()]
    assert about[-2:] == [["exporter.one", "One", "2", "0"], ["exporter.two", "Two", "1", "1"]]


def test_every_part_is_there() -> None:
    """The relations and content types name the sheets in the file, which Excel demands."""
    with ZipFile(BytesIO(workbook((typed("things", ["id"]), [{"id": "1"}])))) as parts:
        sheets = {name for name in parts.namelist() if name.startswith("xl/worksheets/")}
        assert sheets == {f"xl/worksheets/sheet{number}.xml" for number in (1, 2, 3)}
        assert {info.date_time for info in parts.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        types = parts.read("[Content_Types].xml").decode()
        assert all(f'PartName="/{sheet}"' in types for sheet in sheets)


def test_columns_are_named_as_in_a_spreadsheet() -> None:
    """After Z comes AA; the last column of Excel is XFD."""
    assert [xlsx.letters(place) for place in (0, 25, 26, 701, 702, 16_383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]
