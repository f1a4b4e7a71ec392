from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from factories import MadeUpExporter, dataset, file, things

from portability.api import (
    JSON,
    Batch,
    Dataset,
    Field,
    FieldType,
    Gap,
    Provenance,
    Record,
    Role,
    RowRemark,
    Selection,
    Sink,
    Subject,
    SubjectKind,
    Unit,
)
from portability.api.errors import ExporterFault, FormatError
from portability.api.rows import Batched, Rows
from portability.api.rows import lines as rows_as_lines
from portability.plugins import Formats, load_formats
from worker.plan.plan import PlanLine
from worker.read.reader import Reader, SourcePatience
from worker.read.screening import Screen
from worker.write import pieces
from worker.write.pieces import DatasetPiece, count_rows
from worker.write.shards import ShardCutter

WITH_ANY = dataset("things", Role.CONTROLLER, Field("any", FieldType.OBJECT, "Anything.", Provenance.OBSERVED))


@pytest.fixture(scope="module")
def formats() -> Formats:
    return load_formats(["jsonl", "csv"])


def reader(exporter: MadeUpExporter) -> Reader:
    subject = Subject(SubjectKind.USER, None, "sub_1")
    line = PlanLine("made", WITH_ANY, frozenset({"id", "text", "any"}), subject)
    return Reader(exporter, line, Selection(), None, SourcePatience(0, lambda _seconds: None))


def read_piece(made: Reader, formats: Formats, size_bytes: int = 1 << 20) -> DatasetPiece:
    return pieces.read(made, WITH_ANY, formats, size_bytes, Screen())


def lines(piece: DatasetPiece) -> int:
    return b"".join(piece.bodies["jsonl"]).count(b"\n")


def in_shards(piece: DatasetPiece) -> int:
    """The number of its records that the viewer gets."""
    assert piece.shards is not None
    return b"".join(shard.text for shard in piece.shards.shards).count(b"\n")


def test_a_piece_ends_with_the_batch_that_fills_it(formats: Formats) -> None:
    """Whole batches only, in the bytes of every format; the next piece begins after its cursor."""
    # A format gives out blocks of 256 KiB: only then is a piece's size known.
    source = [{**thing, "text": str(thing["text"]) * 2000} for thing in things(10)]
    made = reader(MadeUpExporter(source, batch_records=3))
    first, second, third = read_piece(made, formats, 1), read_piece(made, formats, 400_000), read_piece(made, formats)
    assert (first.records, lines(first), first.before, first.cursor) == (3, 3, None, "3")
    assert (second.records, lines(second), second.before, second.cursor) == (6, 6, "6", "9")
    assert (third.records, lines(third), third.cursor) == (1, 1, "10")
    assert b"".join(first.bodies["csv"]).count(b"\r\n") == 3 + 1


def test_a_batch_with_files_ends_its_piece(formats: Formats) -> None:
    """Files come right after their records: from the cursor before the batch they can be asked for again."""
    made = reader(MadeUpExporter(things(9), batch_records=3, files={1: [file("a.wav", b"x")]}))
    first, second = read_piece(made, formats), read_piece(made, formats)
    assert (first.records, first.before, first.cursor) == (6, "3", "6")
    assert [f.name for f in first.files] == ["a.wav"]
    assert (second.records, second.files) == (3, ())


class TakingWriter:
    """A writer that notes which batches it takes, and writes a block after some of them."""

    suffix, media_type, unit, held = ".taken", "text/plain", Unit.PIECE, 0

    def __init__(self, name: str, taken: list[tuple[str, int]], block_batches: int) -> None:
        self._name, self._taken, self._block_batches, self._count = name, taken, block_batches, 0

    def open(self, out: Sink) -> TakingWriter:
        self._out = out
        return self

    def begin(self, exporter: str, dataset: Dataset) -> None:
        assert (exporter, dataset.name) == ("", "things")

    def write(self, _records: Sequence[Record]) -> None:
        self._count += 1
        self._taken.append((self._name, self._count))
        if self._count % self._block_batches == 0:
            self._out.write(b"x" * self._block_batches)

    def close(self) -> Mapping[str, int]:
        self._taken.append((self._name, 0))
        return {}

    def abort(self) -> None:
        self._taken.append((self._name, -1))


class TakingFormat:
    """A format that notes which batches it takes."""

    suffix, media_type = ".pulled", "text/plain"

    def __init__(self, taken: list[tuple[str, int]]) -> None:
        self._taken = taken

    def encode(self, _dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
        assert isinstance(records, Batched)
        self._taken.extend(("pulled", number) for number, _batch in enumerate(records.batches(), 1))
        yield b""


def test_writers_take_each_batch_as_it_arrives() -> None:
    """None of them waits for the end of another; a format that is called once gets all batches of the piece."""
    taken: list[tuple[str, int]] = []
    formats: Formats = {"a": TakingWriter("a", taken, 1), "b": TakingWriter("b", taken, 1), "c": TakingFormat(taken)}

    piece = read_piece(reader(MadeUpExporter(things(12), batch_records=3)), formats)

    in_turn = [(name, number) for number in range(1, 5) for name in "ab"]
    assert taken == [*in_turn, ("a", 0), ("b", 0), *(("pulled", number) for number in range(1, 5))]
    assert {name: sum(map(len, blocks)) for name, blocks in piece.bodies.items()} == {"a": 4, "b": 4, "c": 0}


def test_the_first_format_ends_a_piece_for_all() -> None:
    """The bytes that it has written decide: one that writes a block of three batches reads three."""
    taken: list[tuple[str, int]] = []
    formats = {"a": TakingWriter("a", taken, 3), "b": TakingWriter("b", taken, 1)}

    piece = read_piece(reader(MadeUpExporter(things(30), batch_records=3)), formats, 2)

    assert piece.records == 9
    assert {name: sum(map(len, blocks)) for name, blocks in piece.bodies.items()} == {"a": 3, "b": 3}


def test_writers_are_given_up_if_the_source_stops() -> None:
    """What a writer holds, such as a file, is free before the error is raised."""
    taken: list[tuple[str, int]] = []

    class Stopping(Screen):
        def batch(self, *_given: Any) -> Batch:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        pieces.read(
            reader(MadeUpExporter(things(3))), WITH_ANY, {"a": TakingWriter("a", taken, 1)}, 1 << 20, Stopping()
        )
    assert taken == [("a", -1)]


class JsonArray:
    """A format that gives nothing before its end: it has the members of the protocol and no other."""

    suffix, media_type = ".json", "application/json"

    def encode(self, _dataset: Dataset, records: Iterable[Record]) -> Iterator[bytes]:
        yield orjson.dumps(list(records))


@pytest.mark.slow
def test_a_format_that_does_not_stream_gets_bounded_pieces() -> None:
    """No piece exceeds its bound by more than one batch: 400,000 records of 56 bytes are 22 pieces, not one."""
    batch_records, bound_bytes = 1_000, 1 << 20
    record: Record = {"id": "thing", "text": "Some text of the thing.", "any": 1}
    made = reader(MadeUpExporter([record] * 400_000, batch_records=batch_records))
    batch_bytes = len(orjson.dumps([record] * batch_records))

    sizes, counts = list[int](), list[int]()
    while not made.ended:
        piece = read_piece(made, {"json": JsonArray()}, bound_bytes)
        sizes.append(sum(map(len, piece.bodies["json"])))
        counts.append(piece.records)

    assert batch_bytes == 1_000 * 56 + 1
    assert counts == [19_000] * 21 + [1_000]
    assert sum(counts) == 400_000
    assert set(sizes[:-1]) == {19_000 * 56 + 1}
    assert bound_bytes <= max(sizes) < bound_bytes + batch_bytes


def test_a_first_format_that_does_not_stream_ends_the_piece_for_all() -> None:
    """A format that streams takes the same records, and no more."""
    source = [{**thing, "any": None} for thing in things(900)]
    formats = {"json": JsonArray(), **load_formats(["jsonl"])}

    piece = read_piece(reader(MadeUpExporter(source, batch_records=3)), formats, 50_000)

    assert 50_000 <= sum(map(len, piece.bodies["json"])) < 50_000 + 3 * 130
    assert lines(piece) == piece.records < 900


def test_a_format_that_does_not_stream_gets_large_integers_as_they_are() -> None:
    """A batch of columns is kept as lines, where an integer beyond 2^53 is a string; the format gets the integer."""
    number = Field("number", FieldType.INTEGER, "A number.", Provenance.OBSERVED)
    numbered = dataset("things", Role.CONTROLLER, number)
    names = ["id", "text", "number"]
    columns: list[list[JSON]] = [["a", "b"], ["1", None], [2**60, None]]
    rows = Rows(names, columns, bytes(rows_as_lines(names, columns)))
    line = PlanLine("made", numbered, frozenset(names), Subject(SubjectKind.USER, None, "sub_1"))
    exporter = MadeUpExporter([], datasets=(numbered,))
    exporter.export = lambda *_args, **_kwargs: (batch for batch in [Batch(rows, "2")])  # type: ignore[method-assign]
    made = Reader(exporter, line, Selection(), None, SourcePatience(0, lambda _seconds: None))

    piece = pieces.read(made, numbered, {"json": JsonArray()}, 1 << 20, Screen())

    read_back = orjson.loads(b"".join(piece.bodies["json"]))
    assert [record["number"] for record in read_back] == [2**60, None]
    assert [record["text"] for record in read_back] == ["1", None]


def test_nothing_is_an_empty_piece(formats: Formats) -> None:
    """A source that gives nothing leaves no records and no cursor."""
    piece = read_piece(reader(MadeUpExporter([])), formats)
    assert (piece.records, piece.cursor, piece.files, piece.shortfalls) == (0, None, (), ())


def test_gaps_of_all_batches_are_kept(formats: Formats) -> None:
    """The gaps of a batch are reported, wherever the piece ends, with the cursor to read it again."""
    gaps = {0: [Gap("thing_0", "missing")], 1: [Gap("thing_4", "changed")]}
    first, second = read_piece(reader(MadeUpExporter(things(6), gaps=gaps)), formats).shortfalls
    assert (first.gaps, first.before, first.cursor) == ((gaps[0][0],), None, "3")
    assert (second.gaps, second.before, second.cursor) == ((gaps[1][0],), "3", "6")


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"jane",
        float("nan"),
        float("inf"),
        object(),
        datetime(2026, 1, 2, tzinfo=UTC),
        {7: "jane"},
        "\ud800",
        [[object()]],
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("bad_batch", [0, 1, 2])
def test_a_value_that_is_no_json_ends_the_piece_before_its_batch(formats: Formats, value: Any, bad_batch: int) -> None:
    """Every whole batch before it is kept in every format; the run ends there, as the exporter's fault."""
    source: list[Record] = [{**thing, "any": None} for thing in things(9)]
    source[bad_batch * 3 + 1] = {**source[bad_batch * 3 + 1], "any": value}
    made = reader(MadeUpExporter(source, batch_records=3, files={2: [file("a.wav", b"x")]}))
    piece = pieces.read(made, WITH_ANY, formats, 1 << 20, Screen(), shards=ShardCutter("made", WITH_ANY))
    assert piece.records == bad_batch * 3
    assert lines(piece) == bad_batch * 3
    assert in_shards(piece) == bad_batch * 3
    assert b"".join(piece.bodies["csv"]).count(b"\r\n") == bad_batch * 3 + 1
    assert piece.cursor == (str(bad_batch * 3) if bad_batch else None)
    assert piece.files == ()
    assert made.ended
    assert isinstance(made.fault, ExporterFault)
    assert "jane" not in str(made.fault)


def test_a_value_that_only_the_second_format_refuses_ends_the_piece_too(
    formats: Formats,
) -> None:
    """The copies in all formats hold the same records, or a reader could not trust either."""

    class Picky:
        suffix, media_type = ".x", "text/x"

        def encode(self, _dataset: Any, records: Any) -> Any:
            for record in records:
                if record["id"] == "thing_4":
                    raise FormatError("no fours")
                yield b"."

    made = reader(MadeUpExporter(things(9), batch_records=3))
    cutter = ShardCutter("made", WITH_ANY)
    piece = pieces.read(made, WITH_ANY, {**formats, "picky": Picky()}, 1 << 20, Screen(), shards=cutter)
    assert (piece.records, lines(piece), b"".join(piece.bodies["picky"]), in_shards(piece)) == (3, 3, b"...", 3)
    assert str(made.fault) == "no fours"


def test_counts_of_remarks_are_written_as_json() -> None:
    """The archive's document has the codes of remarks as keys: a member of an enumeration cannot be a key there."""
    counted = count_rows([{RowRemark.PAST_RETENTION: (0, 2)}, {RowRemark.PAST_RETENTION: (1,)}])

    assert orjson.dumps(counted) == b'{"past_retention":3}'
