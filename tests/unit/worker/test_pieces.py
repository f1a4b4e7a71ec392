from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from factories import MadeUpExporter, dataset, file, things

from portability.api import (
    Dataset,
    Field,
    FieldType,
    Format,
    Gap,
    Provenance,
    Record,
    Role,
    Selection,
    Subject,
    SubjectKind,
)
from portability.errors import ExporterFault, FormatError
from portability.plugins import load_formats
from portability.rows import Batched
from worker import pieces
from worker.pieces import Piece
from worker.plan import Line
from worker.reader import Patience, Reader
from worker.screening import Screen

WITH_ANY = dataset("things", Role.CONTROLLER, Field("any", FieldType.OBJECT, "Anything.", Provenance.OBSERVED))


@pytest.fixture(scope="module")
def formats() -> Mapping[str, Format]:
    return load_formats(["jsonl", "csv"])


def reader(exporter: MadeUpExporter) -> Reader:
    subject = Subject(SubjectKind.USER, None, "sub_1")
    line = Line("made", WITH_ANY, frozenset({"id", "text", "any"}), subject)
    return Reader(exporter, line, Selection(), None, Patience(0, lambda _seconds: None))


def read(made: Reader, formats: Mapping[str, Format], size_bytes: int = 1 << 20) -> Piece:
    return pieces.read(made, WITH_ANY, formats, size_bytes, Screen())


def lines(piece: Piece) -> int:
    return b"".join(piece.bodies["jsonl"]).count(b"\n")


def test_a_piece_ends_with_the_batch_that_fills_it(formats: Mapping[str, Format]) -> None:
    """Whole batches only, in the bytes of every format; the next piece begins after its cursor."""
    # A format gives out blocks of 256 KiB: only then is a piece's size known.
    source = [{**thing, "text": str(thing["text"]) * 2000} for thing in things(10)]
    made = reader(MadeUpExporter(source, batch_records=3))
    first, second, third = read(made, formats, 1), read(made, formats, 400_000), read(made, formats)
    assert (first.records, lines(first), first.before, first.cursor) == (3, 3, None, "3")
    assert (second.records, lines(second), second.before, second.cursor) == (6, 6, "6", "9")
    assert (third.records, lines(third), third.cursor) == (1, 1, "10")
    assert b"".join(first.bodies["csv"]).count(b"\r\n") == 3 + 1


def test_a_batch_with_files_ends_its_piece(formats: Mapping[str, Format]) -> None:
    """Files come right after their records: from the cursor before the batch they can be asked for again."""
    made = reader(MadeUpExporter(things(9), batch_records=3, files={1: [file("a.wav", b"x")]}))
    first, second = read(made, formats), read(made, formats)
    assert (first.records, first.before, first.cursor) == (6, "3", "6")
    assert [f.name for f in first.files] == ["a.wav"]
    assert (second.records, second.files) == (3, ())


class Told:
    """A format that tells which batches it takes."""

    suffix, media_type = ".told", "text/plain"

    def __init__(self, name: str, taken: list[tuple[str, int]], block_batches: int, *, streams: bool = True) -> None:
        self._name, self._taken, self._block_batches, self.streams = name, taken, block_batches, streams

    def encode(self, _dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
        assert isinstance(records, Batched)
        for number, _batch in enumerate(records.batches(), 1):
            self._taken.append((self._name, number))
            if number % self._block_batches == 0:
                yield b"x" * self._block_batches

    def decode(self, _dataset: Dataset, _data: bytes | Iterable[bytes]) -> Iterator[Record]:
        raise NotImplementedError


def test_formats_that_stream_take_batches_in_step() -> None:
    """None of them waits for the end of another; one that gives nothing before its end has its turn last."""
    taken: list[tuple[str, int]] = []
    formats = {"a": Told("a", taken, 1), "b": Told("b", taken, 1), "c": Told("c", taken, 99, streams=False)}

    piece = read(reader(MadeUpExporter(things(12), batch_records=3)), formats)

    in_turn = [(name, number) for number in range(1, 5) for name in "ab"]
    assert taken == in_turn + [("c", number) for number in range(1, 5)]
    assert {name: sum(map(len, blocks)) for name, blocks in piece.bodies.items()} == {"a": 4, "b": 4, "c": 0}


def test_the_first_format_ends_a_piece_for_all() -> None:
    """A format that is ahead of the first, for it needs more for a block, brings at most one batch more."""
    taken: list[tuple[str, int]] = []
    formats = {"a": Told("a", taken, 1), "b": Told("b", taken, 3)}

    piece = read(reader(MadeUpExporter(things(30), batch_records=3)), formats, 2)

    assert piece.records == 3 * max(number for _name, number in taken)
    assert {name: max(n for by, n in taken if by == name) for name in formats} == {"a": 3, "b": 3}


def test_nothing_is_an_empty_piece(formats: Mapping[str, Format]) -> None:
    """A source that gives nothing leaves no records and no cursor."""
    piece = read(reader(MadeUpExporter([])), formats)
    assert (piece.records, piece.cursor, piece.files, piece.shortfalls) == (0, None, (), ())


def test_gaps_of_all_batches_are_kept(formats: Mapping[str, Format]) -> None:
    """What a batch says is missing is told, wherever the piece ends, and where to ask for it again."""
    gaps = {0: [Gap("thing_0", "missing")], 1: [Gap("thing_4", "changed")]}
    first, second = read(reader(MadeUpExporter(things(6), gaps=gaps)), formats).shortfalls
    assert (first.gaps, first.before, first.cursor) == ((gaps[0][0],), None, "3")
    assert (second.gaps, second.before, second.cursor) == ((gaps[1][0],), "3", "6")


@pytest.mark.parametrize(
    "value",
    [{1, 2}, b"jane", float("nan"), float("inf"), object(), datetime.now(UTC), {7: "jane"}, "\ud800", [[object()]]],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("bad_batch", [0, 1, 2])
def test_a_value_that_is_no_json_ends_the_piece_before_its_batch(
    formats: Mapping[str, Format], value: Any, bad_batch: int
) -> None:
    """Every whole batch before it is kept in every format; the run ends there, as the exporter's fault."""
    source: list[Record] = [{**thing, "any": None} for thing in things(9)]
    source[bad_batch * 3 + 1] = {**source[bad_batch * 3 + 1], "any": value}
    made = reader(MadeUpExporter(source, batch_records=3, files={2: [file("a.wav", b"x")]}))
    piece = read(made, formats)
    assert piece.records == bad_batch * 3
    assert lines(piece) == bad_batch * 3
    assert b"".join(piece.bodies["csv"]).count(b"\r\n") == bad_batch * 3 + 1
    assert piece.cursor == (str(bad_batch * 3) if bad_batch else None)
    assert piece.files == ()
    assert made.ended
    assert isinstance(made.fault, ExporterFault)
    assert "jane" not in str(made.fault)


def test_a_value_that_only_the_second_format_refuses_ends_the_piece_too(formats: Mapping[str, Format]) -> None:
    """The copies in all formats hold the same records, or a reader could not trust either."""

    class Picky:
        suffix, media_type = ".x", "text/x"

        def encode(self, _dataset: Any, records: Any) -> Any:
            for record in records:
                if record["id"] == "thing_4":
                    raise FormatError("no fours")
                yield b"."

    made = reader(MadeUpExporter(things(9), batch_records=3))
    piece = pieces.read(made, WITH_ANY, {**formats, "picky": Picky()}, 1 << 20, Screen())
    assert (piece.records, lines(piece), b"".join(piece.bodies["picky"])) == (3, 3, b"...")
    assert str(made.fault) == "no fours"
