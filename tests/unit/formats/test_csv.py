from __future__ import annotations

import csv
import io

import pytest

from formats.csv import format as csv_format
from portability.api import JSON, Dataset, Field, FieldType, Provenance, Role
from portability.api.errors import FormatError


def dataset_of_types(*types: FieldType) -> Dataset:
    fields = tuple(Field(f"f{n}", kind, "A field.", Provenance.PROVIDED) for n, kind in enumerate(types))
    return Dataset("things", "Things", "Things.", fields, Provenance.PROVIDED, Role.CONTROLLER, ("f0",))


def encoded(kind: FieldType, *values: JSON) -> bytes:
    header, _, body = b"".join(csv_format.encode(dataset_of_types(kind), [{"f0": v} for v in values])).partition(
        b"\r\n"
    )
    assert header == b"f0"
    return body


def decoded(kind: FieldType, data: bytes) -> list[JSON]:
    return [record["f0"] for record in csv_format.decode(dataset_of_types(kind), data)]


TRIGGERS = ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"]  # noqa: RUF001  # full-width on purpose
BLANKS = ["", " ", "\t", "\n", "\xa0", "\u3000", "\ufeff", "\u200b", "\x00", " \ufeff "]


@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize("blank", BLANKS)
def test_formulas_are_defused(trigger: str, blank: str) -> None:
    """A text that a spreadsheet could take for a formula, also behind blanks, is marked, and read back unmarked."""
    text = f"{blank}{trigger}SUM(A1)"
    line = encoded(FieldType.STRING, text)
    assert line.startswith(b"\"'")
    assert decoded(FieldType.STRING, b"f0\r\n" + line) == [text]


@pytest.mark.parametrize("text", ["'", "''", "'=1", "'tis"])
def test_a_leading_quote_is_doubled(text: str) -> None:
    """A text that begins with the mark itself is marked too: so removing one mark is always right."""
    line = encoded(FieldType.STRING, text)
    assert line == f'"\'{text}"\r\n'.encode()
    assert decoded(FieldType.STRING, b"f0\r\n" + line) == [text]


@pytest.mark.parametrize("number", ["+6281234567890", "+62 812-3456-7890", "+49 (30) 901820", "+1-555-0100", "+12345"])
def test_phone_numbers_stay(number: str) -> None:
    """Programs read them as they are: of digits, blanks, hyphens and brackets no formula can do anything."""
    assert encoded(FieldType.STRING, number) == f'"{number}"\r\n'.encode()
    assert decoded(FieldType.STRING, f'f0\r\n"\'{number}"\r\n'.encode()) == [number], "as archives had it before"


@pytest.mark.parametrize(
    "text", ["+1234", "+62812=1", "+62812+A1", "+62 812,A", "+cmd|' /C calc'!A0", "-62812345", "+1" * 9]
)
def test_other_texts_with_a_plus_are_defused(text: str) -> None:
    """Only what can be nothing but a number is left alone."""
    assert encoded(FieldType.STRING, text).startswith(b"\"'")


@pytest.mark.parametrize("text", ["plain", "a=b", "1+1", "user@example.com", " 'x", "x\n=1", "62-1"])
def test_other_text_stays(text: str) -> None:
    """What no spreadsheet takes for a formula stands as it is."""
    assert encoded(FieldType.STRING, text) == f'"{text}"\r\n'.encode()


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        (FieldType.INTEGER, -5, b"-5"),
        (FieldType.INTEGER, 10**30, b"1" + b"0" * 30),
        (FieldType.NUMBER, -0.5, b"-0.5"),
        (FieldType.NUMBER, 3, b"3"),
        (FieldType.NUMBER, 3.0, b"3.0"),
        (FieldType.DECIMAL, "-1250000.00", b"-1250000.00"),
        (FieldType.DATE, "2026-11-24", b"2026-11-24"),
        (FieldType.DATETIME, "2026-11-24T08:30:00.123456Z", b"2026-11-24T08:30:00.123456Z"),
        (FieldType.BOOLEAN, True, b"true"),
        (FieldType.BOOLEAN, False, b"false"),
    ],
)
def test_typed_values_stand_bare(kind: FieldType, value: JSON, cell: bytes) -> None:
    """Numbers, dates and booleans are neither quoted nor defused, minus sign included."""
    assert encoded(kind, value) == cell + b"\r\n"
    assert decoded(kind, b"f0\r\n" + cell + b"\r\n") == [value]
    assert type(decoded(kind, b"f0\r\n" + cell + b"\r\n")[0]) is type(value)


@pytest.mark.parametrize("kind", [FieldType.DECIMAL, FieldType.DATE, FieldType.DATETIME])
@pytest.mark.parametrize("text", ["=1", "-1+1|x", "2026-11-24\n", "", "１２"])  # noqa: RUF001  # full-width on purpose
def test_a_typed_field_is_no_way_around(kind: FieldType, text: str) -> None:
    """An invalid value of a typed field is text, quoted and protected like any other."""
    line = encoded(kind, text)
    assert line.startswith(b'"')
    assert not line.startswith(b'"=')
    assert decoded(kind, b"f0\r\n" + line) == [text]


def test_null_is_not_the_empty_text() -> None:
    """NULL is an empty unquoted cell, '' is an empty quoted one, also if it is the only cell of a line."""
    assert encoded(FieldType.STRING, None, "", None) == b'\r\n""\r\n\r\n'
    assert decoded(FieldType.STRING, b'f0\r\n\r\n""\r\n\r\n') == [None, "", None]


def test_objects_are_json_text() -> None:
    """An object is one quoted cell of JSON; a negative number as JSON is protected like any text."""
    assert encoded(FieldType.OBJECT, {"a": [1, None]}) == b'"{""a"":[1,null]}"\r\n'
    assert encoded(FieldType.OBJECT, -5) == b'"\'-5"\r\n'
    assert decoded(FieldType.OBJECT, b'f0\r\n"\'-5"\r\n') == [-5]


def test_strangers_read_it() -> None:
    """Python's csv reads the same cells; rows end with CRLF alone."""
    things = dataset_of_types(FieldType.STRING, FieldType.INTEGER)
    records: list[dict[str, JSON]] = [
        {"f0": 'say "hi",\r\nthen\nbye\r', "f1": 1},
        {"f0": "x\u2028y\x0bz\x00", "f1": None},
    ]
    text = b"".join(csv_format.encode(things, records)).decode()
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert rows == [["f0", "f1"], [records[0]["f0"], "1"], [records[1]["f0"], ""]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"f0",
        b"f1\r\n",
        b"\xef\xbb\xbff0\r\n",
        b'f0\r\n"cut',
        b'f0\r\n"no end"',
        b'f0\r\n"a"b\r\n',
        b'f0\r\nb"a"\r\n',
        b"f0\r\n1,2\r\n",
        b"f0\r\n1\n",
        b'f0\r\n"\xff"\r\n',
        b'f0\r\n"\xe2\x82',
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    """What this format would not have written is an error that repeats nothing of it."""
    with pytest.raises(FormatError) as wrong:
        decoded(FieldType.STRING, data)
    assert "cut" not in str(wrong.value).replace("line is cut", "")


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        (FieldType.INTEGER, b"x"),
        (FieldType.NUMBER, b"1e"),
        (FieldType.BOOLEAN, b"yes"),
        (FieldType.OBJECT, b'"{"'),
    ],
)
def test_cells_of_another_type_are_refused(kind: FieldType, cell: bytes) -> None:
    """A cell with an invalid value of its field is an error that names field and record."""
    with pytest.raises(FormatError, match=r"things\.f0, record 2"):
        decoded(kind, b"f0\r\n\r\n" + cell + b"\r\n")


def test_headers_of_strangers() -> None:
    """A field name from a plug-in is quoted and defused like a value, and read back."""
    field = Field("=a,b", FieldType.STRING, "A field.", Provenance.PROVIDED)
    odd = Dataset("odd", "Odd", "Odd.", (field,), Provenance.PROVIDED, Role.CONTROLLER, ("=a,b",))
    data = b"".join(csv_format.encode(odd, [{"=a,b": "x"}]))
    assert data == b'"\'=a,b"\r\n"x"\r\n'
    assert list(csv_format.decode(odd, data)) == [{"=a,b": "x"}]
