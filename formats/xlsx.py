"""XLSX: one workbook of a volume for people, a sheet for each dataset (ECMA-376, ISO/IEC 29500; docs/forms.md).

Cells are texts, numbers or booleans, never formulas: identifiers, decimals, times and integers of more than 15 digits
are texts, so a spreadsheet changes none of them. Sheets are written as the records arrive; memory does not grow.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from formats.values import UnseekableStream, visible_sign
from formats.xlsx_parts import MAIN, PARTS, content_types, relations, workbook
from portability.api import JSON, Dataset, FieldType, FormatWriter, Record, RecordChecker, Sink, Unit, rows
from portability.locale import languages, text
from portability.locale.translations import in_language, of_field, of_label, of_value

NAME = "my-data.xlsx"
ROWS_MAX = 200_000
"""Rows of a workbook, in all sheets; a sheet may have 1,048,576."""
TEXT_BYTES_MAX = 1 << 30
"""Bytes of all sheets before compression: a member of a ZIP without extensions may have 4 GiB."""
COLUMNS_MAX = 16_384
CELL_UNITS_MAX = 32_767
"""UTF-16 code units of a cell: a character beyond U+FFFF counts twice."""
EXACT_INTEGERS = 10**15
"""Spreadsheets show 15 digits; integers from here on are texts."""
CUT = " … [cut: the .jsonl file has the whole text]"
SHEET_NAME_MAX = 31

_MARKUP = re.compile(r"[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|_x[0-9A-Fa-f]{4}_")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
_OPEN, _CLOSE = '" t="inlineStr"><is><t xml:space="preserve">', "</t></is></c>"
_HEAD = (
    f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<worksheet xmlns="{MAIN}"><sheetViews>'
    '<sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    '</sheetView></sheetViews><sheetFormatPr defaultRowHeight="15"/><cols>'
    '<col min="1" max="{columns}" width="24" customWidth="1"/></cols><sheetData>'
)
_FOOT = "</sheetData></worksheet>"


class Xlsx:
    """The form `xlsx`."""

    unit = Unit.VOLUME

    @property
    def suffix(self) -> str:
        return ".xlsx"

    @property
    def media_type(self) -> str:
        return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def open(self, out: Sink) -> FormatWriter:
        """Begin a workbook; it has no file if no dataset begins."""
        return XlsxWriter(out)


class XlsxWriter:
    """Writes one workbook. A dataset that comes again gets another sheet."""

    held = 0
    _zip: ZipFile
    _stream: UnseekableStream
    """Both are there while the workbook is open."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._is_open = False
        self._sheets: list[_Sheet] = []
        self._losses: Counter[str] = Counter()

    def begin(self, exporter: str, dataset: Dataset) -> None:
        if self._is_open:
            self._end_sheet()
        else:
            self._out.begin(NAME)
            # Names alone give every member the same date, so the same records give the same bytes.
            self._stream, self._is_open = UnseekableStream(self._out.write), True
            self._zip = ZipFile(self._stream, "w", ZIP_DEFLATED, compresslevel=1)
        taken = {sheet.name.lower() for sheet in self._sheets}
        sheet = self._new_sheet(_sheet_name(f"{exporter}.{dataset.name}", taken), len(dataset.fields))
        sheet.describes = (exporter, dataset)
        self._checker = RecordChecker(dataset)
        self._kinds = [field.type for field in dataset.fields][:COLUMNS_MAX]
        self._losses["columns_cut"] += max(0, len(dataset.fields) - COLUMNS_MAX)
        sheet.add([[field.name for field in dataset.fields][:COLUMNS_MAX]], style=' s="1"')

    def write(self, records: Sequence[Record]) -> None:
        """Write rows up to the bounds of a workbook; the others are counted."""
        columns = self._checker.columns(records)
        count = len(records)
        room = 0 if sum(sheet.bytes for sheet in self._sheets) > TEXT_BYTES_MAX else ROWS_MAX - self._rows
        if count > room:
            self._losses["rows_cut"] += count - room
            self._sheets[-1].cut += count - room
            columns, count = [column[:room] for column in columns], room
        if count:
            self._write(columns[:COLUMNS_MAX], count)

    def close(self) -> Mapping[str, int]:
        if self._is_open:
            self._end_sheet()
            data = list(self._sheets)
            self._end_with("About", [*_sentences(), [], *_contents(data)], 4)
            self._end_with("Fields", list(_fields(data)), 3 + 2 * len(languages()))
            if len(values := list(_values(data))) > 1:
                self._end_with("Values", values, 3 + len(languages()))
            about, *meanings = self._sheets[len(data) :]
            listed = [about, *data, *meanings]
            numbers = [(sheet.name, sheet.number) for sheet in listed]
            parts = {
                **PARTS,
                "xl/workbook.xml": workbook(numbers),
                "xl/_rels/workbook.xml.rels": relations([sheet.number for sheet in listed]),
                "[Content_Types].xml": content_types([sheet.number for sheet in listed]),
            }
            for path, part in parts.items():
                with self._zip.open(path, "w") as member:
                    member.write(part.encode())
            self._zip.close()
            self._is_open = False
        return {code: count for code, count in self._losses.items() if count}

    def abort(self) -> None:
        if self._is_open:
            self._stream.drop()
            self._end_sheet()
            self._zip.close()
            self._is_open = False

    @property
    def _rows(self) -> int:
        return sum(sheet.rows - 1 for sheet in self._sheets)

    def _new_sheet(self, name: str, columns: int) -> _Sheet:
        sheet = _Sheet(name, len(self._sheets) + 1)
        sheet.stream = self._zip.open(f"xl/worksheets/sheet{sheet.number}.xml", "w")
        sheet.put(_HEAD.replace("{columns}", str(min(max(columns, 1), COLUMNS_MAX))))
        self._sheets.append(sheet)
        return sheet

    def _end_sheet(self) -> None:
        self._sheets[-1].put(_FOOT)
        self._sheets[-1].stream.close()

    def _end_with(self, name: str, lines: Sequence[Sequence[JSON]], columns: int) -> None:
        """Write a sheet of our own, whose texts are in memory."""
        sheet = self._new_sheet(name, columns)
        sheet.add(lines[:1], style=' s="1"')
        sheet.add(lines[1:])
        self._end_sheet()

    def _write(self, columns: Sequence[Sequence[JSON]], count: int) -> None:
        sheet = self._sheets[-1]
        numbers = [str(number) for number in range(sheet.rows + 1, sheet.rows + count + 1)]
        parts: list[str | Sequence[str]] = ['<row r="', numbers, '">']
        for place, (kind, column) in enumerate(zip(self._kinds, columns, strict=True)):
            parts.append(_cells(letters(place), kind, column, numbers, self._losses))
        sheet.put(rows.interleave([*parts, "</row>"], count))
        sheet.rows += count


class _Sheet:
    stream: Any
    """The open member of the ZIP."""
    describes: tuple[str, Dataset] | None = None

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.rows = self.bytes = self.cut = 0

    def put(self, xml: str) -> None:
        text = xml.encode()
        self.bytes += len(text)
        self.stream.write(text)

    def add(self, lines: Iterable[Sequence[JSON]], style: str = "") -> None:
        """Add rows of texts and numbers, one by one."""
        for line in lines:
            self.rows += 1
            cells = [
                f'<c r="{letters(place)}{self.rows}"{style} t="inlineStr"><is><t xml:space="preserve">'
                f"{_escaped(str(value), Counter())}{_CLOSE}"
                for place, value in enumerate(line)
            ]
            self.put(f'<row r="{self.rows}">{"".join(cells)}</row>')


def letters(place: int) -> str:
    """Return the letters of a column, from 0: A, B ... Z, AA."""
    text = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def _cells(
    letter: str, kind: FieldType, column: Sequence[Any], numbers: Sequence[str], losses: Counter[str]
) -> Sequence[str]:
    begin = f'<c r="{letter}'
    if kind is FieldType.BOOLEAN:
        return [
            "" if value is None else f'{begin}{number}" t="b"><v>{value:d}</v></c>'
            for value, number in zip(column, numbers, strict=True)
        ]
    if kind in (FieldType.INTEGER, FieldType.NUMBER):
        return [
            ""
            if value is None
            else f'{begin}{number}"><v>{value!r}</v></c>'
            if isinstance(value, float) or -EXACT_INTEGERS < value < EXACT_INTEGERS
            else f"{begin}{number}{_OPEN}{value}{_CLOSE}"
            for value, number in zip(column, numbers, strict=True)
        ]
    if kind is FieldType.OBJECT:
        column = [None if value is None else rows.text(value).decode() for value in column]
    texts = _texts(column, losses)
    return [
        "" if value is None else f"{begin}{number}{_OPEN}{value}{_CLOSE}"
        for value, number in zip(texts, numbers, strict=True)
    ]


def _texts(column: Sequence[str | None], losses: Counter[str]) -> Sequence[str | None]:
    """Return the texts as XML. One look at the whole column is enough if no text needs care, as is usual."""
    there = list(filter(None, column))
    if max(map(len, there), default=0) <= CELL_UNITS_MAX // 2 and _MARKUP.search("".join(there)) is None:
        return column
    return [value if value is None else _escaped(value, losses) for value in column]


def _escaped(value: str, losses: Counter[str]) -> str:
    if len(value) > CELL_UNITS_MAX // 2 and len(value.encode("utf-16-le")) > 2 * CELL_UNITS_MAX:
        losses["cells_cut"] += 1
        value = value.encode("utf-16-le")[: 2 * (CELL_UNITS_MAX - len(CUT))].decode("utf-16-le", "ignore") + CUT
    if _MARKUP.search(value) is None:
        return value
    value, replaced = _CONTROLS.subn(visible_sign, value.replace("\r\n", "\n").replace("\r", "\n"))
    losses["controls_replaced"] += bool(replaced)
    # Spreadsheets read _x0041_ as A.
    value = _ESCAPE.sub("_x005F_", value)
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _sheet_name(wanted: str, taken: set[str]) -> str:
    name, number = wanted[:SHEET_NAME_MAX], 1
    while name.lower() in taken | {"about", "fields", "values"}:
        number += 1
        name = wanted[: SHEET_NAME_MAX - len(f" {number}")] + f" {number}"
    return name


def _sentences() -> Iterable[Sequence[JSON]]:
    return [[re.sub(r"\*\*|`", "", text(tag, "archive.readme.form_xlsx", file=NAME))] for tag in languages()]


def _contents(sheets: Iterable[_Sheet]) -> Iterable[Sequence[JSON]]:
    yield ["sheet", "title", "rows", "rows that are only in the other files"]
    for sheet in sheets:
        if sheet.describes is not None:
            yield [sheet.name, sheet.describes[1].title, sheet.rows - 1, sheet.cut]


def _fields(sheets: Iterable[_Sheet]) -> Iterable[Sequence[JSON]]:
    """Yield the names for people and the meanings of each field, in every language."""
    yield ["sheet", "field", "type", *languages(), *(f"name ({tag})" for tag in languages())]
    for name, exporter, dataset in _described(sheets):
        for field in dataset.fields:
            translations = of_field(exporter, dataset, field).get("description", {})
            names = [in_language(of_label(field.name), tag) for tag in languages()]
            meanings = [translations.get(tag, field.description) for tag in languages()]
            yield [name, field.name, field.type, *meanings, *names]


def _values(sheets: Iterable[_Sheet]) -> Iterable[Sequence[JSON]]:
    """Yield the labels of the values of fields that have few, in every language."""
    yield ["sheet", "field", "value", *languages()]
    for name, exporter, dataset in _described(sheets):
        for field in dataset.fields:
            for one in field.values:
                labels = of_value(exporter, dataset, field, one)
                yield [name, field.name, one.value, *(in_language(labels, tag) for tag in languages())]


def _described(sheets: Iterable[_Sheet]) -> Iterable[tuple[str, str, Dataset]]:
    """Yield name, exporter and dataset of each sheet with data."""
    return ((sheet.name, *sheet.describes) for sheet in sheets if sheet.describes is not None)


format = Xlsx()  # noqa: A001  # the name in the entry point and the plug-in guide
