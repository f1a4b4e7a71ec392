"""The scan: a card number planted anywhere never leaves, and nothing else changes by a byte."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
from factories import MadeUpExporter
from hypothesis import given
from hypothesis import strategies as st
from record_strategies import TEXTS, datasets_with_records

from portability import api
from portability.api import (
    JSON,
    Dataset,
    FieldType,
    Format,
    Record,
    Selection,
    Subject,
    SubjectKind,
    WriterFormat,
    rows,
)
from portability.plugins import load_formats
from worker.plan.plan import PlanLine
from worker.read.reader import Reader, SourcePatience
from worker.read.screening import Screen, numbers
from worker.read.screening.values import Counts
from worker.write import pieces
from worker.write.pieces import DatasetPiece

pytestmark = pytest.mark.requirement("R22")
CARDS = ("4111111111111111", "5500000000000004", "378282246310005", "30569309025904", "6212345678901265")
GROUPS: Mapping[int, tuple[int, ...]] = {14: (4, 6, 4), 15: (4, 6, 5), 16: (4, 4, 4, 4)}
_BESIDE = TEXTS.filter(lambda text: not text[:1].isalnum() and not text[-1:].isalnum()) | st.sampled_from(
    ["", " ", "card ", "nomor: ", ", ", ". ", '"', "\\", "\n", "é", "12345. ", "kartu no.", "🙏", "\u00a0", "; "]
)
SCREEN = Screen()
PLANTS: Mapping[FieldType, Callable[[str, str], JSON]] = {
    FieldType.STRING: lambda text, _number: text,
    FieldType.OBJECT: lambda text, _number: {"a": text},
    FieldType.INTEGER: lambda _text, number: int(number),
    FieldType.NUMBER: lambda _text, number: float(number),
    FieldType.DECIMAL: lambda _text, number: number,
    FieldType.BOOLEAN: lambda _text, _number: None,
    FieldType.DATE: lambda _text, _number: None,
    FieldType.DATETIME: lambda _text, _number: None,
}
"""What of a planted text fits a field; None: nothing."""


@cache
def formats(*names: str) -> Mapping[str, Format | WriterFormat]:
    return load_formats(names)


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, str]:
    """A card number in some text, as it is found by itself, and the number."""
    number = draw(st.sampled_from(CARDS))
    gap = draw(st.sampled_from(["", " ", "-", "\u00a0", ".", ", ", " - "]))
    parts, at = [], 0
    for size in GROUPS[len(number)]:
        parts.append(number[at : at + size])
        at += size
    text = draw(_BESIDE) + gap.join(parts) + draw(_BESIDE)
    return text, number


def joined(piece: DatasetPiece) -> dict[str, bytes]:
    return {name: b"".join(blocks) for name, blocks in piece.bodies.items()}


def read_piece(dataset: Dataset, records: list[Record], *names: str) -> DatasetPiece:
    line = PlanLine("made", dataset, frozenset(f.name for f in dataset.fields), Subject(SubjectKind.USER, None, "sub"))
    reader = Reader(MadeUpExporter(records, datasets=(dataset,)), line, Selection(), None, SourcePatience(0))
    return pieces.read(reader, dataset, formats(*names), 1 << 20, SCREEN)


def encoded(dataset: Dataset, records: list[Record], name: str) -> bytes:
    return b"".join(api.encoded(formats(name)[name], dataset, records))


def into(draw: Any, value: JSON, text: str) -> JSON:  # hypothesis' own
    """The value with the text somewhere within."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: into(draw, value[name], text)}
    if isinstance(value, list) and value and draw(st.booleans()):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], into(draw, value[place], text), *value[place + 1 :]]
    planted: JSON = draw(st.sampled_from([text, [1, text], {"a": {"b": text}}, {text: None}]))
    return planted


def digits_of(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())


@given(data=st.data(), made=datasets_with_records(), plant=planted())
def test_a_planted_card_never_leaves(
    data: st.DataObject, made: tuple[Dataset, list[Record]], plant: tuple[str, str]
) -> None:
    """In any record, field and depth, in every format: masked, counted, and no other record changes by a byte."""
    dataset, records = made
    text, number = plant
    places = [f for f in dataset.fields if f.type in {FieldType.STRING, FieldType.OBJECT}]
    if not records or not places or not any(numbers.find(text)):
        return
    place = data.draw(st.integers(0, len(records) - 1))
    column = data.draw(st.sampled_from(places))
    value = text if column.type is FieldType.STRING else into(data.draw, records[place].get(column.name), text)
    dirty = [*records[:place], {**records[place], column.name: value}, *records[place + 1 :]]
    others = [record for n, record in enumerate(dirty) if n != place]
    for names in (("jsonl", "csv"), ("csv",)):
        piece = read_piece(dataset, dirty, *names)

        assert piece.redactions["card-number"] >= 1
        for name, body in joined(piece).items():
            assert number not in digits_of(body.decode()) or number in digits_of(
                encoded(dataset, others, name).decode()
            )
        assert piece.records == len(records)
        marked = list(piece.head)
        for name, body in joined(piece).items():
            assert encoded(dataset, marked, name) == body
        # What was not planted is as it was, where it holds nothing to be masked of its own.
        clean = [SCREEN.records(dataset, (record,), Counts())[0] is record for record in others]
        kept = [record for n, record in enumerate(marked) if n != place]
        assert all(new == old for new, old, is_clean in zip(kept, others, clean, strict=True) if is_clean)


@given(made=datasets_with_records())
def test_what_holds_nothing_leaves_byte_for_byte(made: tuple[Dataset, list[Record]]) -> None:
    """Without a hit the formats' own bytes go out."""
    dataset, records = made
    piece = read_piece(dataset, records, "jsonl", "csv")
    if piece.redactions:
        return

    assert {name: encoded(dataset, records, name) for name in piece.bodies} == joined(piece)


@given(data=st.data(), made=datasets_with_records(), plant=planted())
def test_columns_are_looked_through_as_lines_are(
    data: st.DataObject, made: tuple[Dataset, list[Record]], plant: tuple[str, str]
) -> None:
    """Of rows with their texts only some columns are looked through: what is masked and counted is the same."""
    dataset, records = made
    names = [field.name for field in dataset.fields]
    columns = [[record.get(name) for record in records] for name in names]
    place = data.draw(st.integers(0, len(names) - 1))
    if records and (value := PLANTS[dataset.fields[place].type](*plant)) is not None:
        columns[place][data.draw(st.integers(0, len(records) - 1))] = value
    texts = [[text.decode().removeprefix('"').removesuffix('"') for text in map(rows.text, c)] for c in columns]
    lines = bytes(rows.lines(names, columns))
    counted, wanted = Counts(), Counts()

    found = SCREEN.records(dataset, rows.Rows(names, columns, lines, texts), counted)

    assert list(found) == list(SCREEN.records(dataset, rows.Rows(names, columns, lines), wanted))
    assert counted == wanted


@given(text=st.text(st.sampled_from('0123456789 .,-+:ab"\\\u00a0é'), max_size=60), number=st.sampled_from(CARDS))
def test_the_prefilter_misses_nothing_that_the_exact_look_finds(text: str, number: str) -> None:
    """For any surrounding text: what is found in a text is found in its JSON."""
    middle = len(text) // 2
    whole = text[:middle] + number + text[middle:]
    found = [one.rule for one in numbers.find(whole)]

    assert not found or SCREEN.found(whole)
