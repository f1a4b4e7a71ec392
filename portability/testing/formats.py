"""Checks of the contract of a format of records."""

from __future__ import annotations

import math
import re
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, TypeAlias

from portability.api import (
    JSON,
    Batched,
    Dataset,
    Field,
    FieldType,
    Format,
    FormatError,
    Provenance,
    Record,
    Role,
    Rows,
    Unit,
    WriterFormat,
    encoded,
)
from portability.api.rows import lines
from portability.testing.reading import require

AnyPieceFormat: TypeAlias = Format | WriterFormat
Decode: TypeAlias = Callable[[Dataset, bytes], Iterable[Record]]

BLOCK_BYTES = 256 << 10
SUFFIX = re.compile(r"(\.[A-Za-z0-9]{1,16}){1,3}")
MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(; ?[a-z0-9-]+=[A-Za-z0-9._-]+)*")
VALUES: dict[str, JSON] = {
    "string": 'Ünï \U0001f600 =1, "x"\r\n\'',
    "integer": 2**60,
    "number": 0.1,
    "decimal": "1250000.00",
    "boolean": False,
    "datetime": "2026-11-24T08:30:00Z",
    "date": "2026-11-24",
    "object": {"a": [1, None, {"b": "c"}]},
}
FIELDS = tuple(Field(kind, kind, f"A {kind}.", Provenance.PROVIDED) for kind in FieldType)
SAMPLE = Dataset("things", "Things", "Things.", FIELDS, Provenance.PROVIDED, Role.CONTROLLER, ("integer",))
DISTINCT: Mapping[str, Sequence[JSON]] = {
    "string": (
        "",
        " ",
        "x",
        "X",
        "x ",
        "'x",
        "=x",
        "'=x",
        "null",
        "0",
        "\n",
        "\r\n",
        "\t",
        "é",
        "e\u0301",
        '"',
        '""',
        "<",
    ),
    "integer": (0, 1, -1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)),
    "number": (0.0, 0.1, 0.1 + 2**-56, -0.1, 1e308, 5e-324, 3),
    "decimal": ("0", "0.0", "1", "1.0", "1.00", "-1.00"),
    "boolean": (True, False),
    "datetime": ("2026-11-24T08:30:00Z", "2026-11-24T08:30:00.000001Z", "2026-11-24T08:30:00.000002Z"),
    "date": ("2026-11-24", "2026-11-25"),
    "object": ({}, [], [[]], {"a": 1}, {"a": "1"}, {"a": None}, {"a": True}, [1, 2], [2, 1], "a", "", 0, False),
}
"""Values of each type, all different."""
REFUSED: Sequence[tuple[str, Any]] = (
    ("string", "canary\ud800"),
    ("string", 5),
    ("string", b"canary"),
    ("integer", "canary"),
    ("integer", 1.5),
    ("integer", True),
    ("integer", 10**5000),
    ("number", math.nan),
    ("number", -math.inf),
    ("boolean", 1),
    ("decimal", 1.5),
    ("date", 20261124),
    ("object", {"canary": math.nan}),
    ("object", ["canary\udfff"]),
    ("object", {"canary\udfff": 1}),
    ("object", {1: "canary"}),
    ("object", {"x": {"canary"}}),
    ("object", object()),
)
"""Invalid values of each type."""


def check_format(form: AnyPieceFormat, *, decode: Decode | None = None) -> None:
    """Check that a format of records fulfils the contract of `portability.api.Format`, or a writer that of pieces.

    Args:
        form: the object of its entry point.
        decode: parses a whole document, `(dataset, data) -> records`, with every declared field in each record. Without
            it the suite compares documents: different values must give different bytes.

    Raises:
        AssertionError: a rule is broken; the text says which.
    """
    for rule in FORMAT_RULES:
        rule(form)
    if decode is not None:
        _check_round_trip(form, decode)


def _check_shape(form: object) -> None:
    if not isinstance(form, Format | WriterFormat):
        raise AssertionError(f"{type(form).__name__} lacks a member of the protocol Format")  # noqa: TRY004  # part of the contract
    require(bool(SUFFIX.fullmatch(str(form.suffix))), "the suffix must look like .jsonl")
    require(bool(MEDIA_TYPE.fullmatch(str(form.media_type))), "the media type must look like application/jsonl")
    if isinstance(form, WriterFormat):
        require(form.unit is Unit.PIECE, "a writer with a larger unit than a piece is a form: use check_form")


def _check_empty(form: AnyPieceFormat) -> None:
    require(_encoded(form, []) == _encoded(form, iter(())), "without records, a list and an iterator differ")
    require(_encoded(form, []) != _encoded(form, [VALUES]), "a document with a record equals the empty document")


def _check_blocks(form: AnyPieceFormat) -> None:
    blocks = list(encoded(form, SAMPLE, [VALUES] * 5000))
    require(all(type(block) is bytes for block in blocks), "a block is not bytes")
    require(
        all(len(block) >= BLOCK_BYTES for block in blocks[:-1]), "a block other than the last is smaller than 256 KiB"
    )


def _check_batching(form: AnyPieceFormat) -> None:
    records: list[Record] = [VALUES | {"integer": number} for number in range(100)]
    whole = _encoded(form, records)
    require(_encoded(form, iter(records)) == whole, "the bytes differ between two runs")
    for size in (1, 7, 100):
        batches = [records[begin : begin + size] for begin in range(0, 100, size)]
        require(_encoded(form, Batched(batches)) == whole, f"in batches of {size} records the bytes differ")
        require(_encoded(form, Batched(map(rows_of, batches))) == whole, f"in Rows of {size} records the bytes differ")


def _check_several_at_once(form: AnyPieceFormat) -> None:
    records: Sequence[Sequence[Record]] = [[VALUES] * 2500, [dict.fromkeys(VALUES)] * 5000]
    encoders = [encoded(form, SAMPLE, run) for run in records]
    bodies = [bytearray(), bytearray()]
    waiting = [0, 1]
    while waiting:
        for place in tuple(waiting):
            block = next(encoders[place], None)
            bodies[place] += block or b""
            waiting = [other for other in waiting if block is not None or other != place]
    whole = [_encoded(form, run) for run in records]
    require(list(map(bytes, bodies)) == whole, "two documents that are written at the same time get mixed")


def _check_fields(form: AnyPieceFormat) -> None:
    """Check that a missing field is NULL, and that the order of a record's fields does not matter."""
    require(
        _encoded(form, [dict(reversed(VALUES.items()))]) == _encoded(form, [VALUES]),
        "fields in another order give other bytes",
    )
    require(_encoded(form, [{}]) == _encoded(form, [dict.fromkeys(VALUES)]), "a missing field is not NULL")
    require(len({_encoded(form, [VALUES] * count) for count in range(4)}) == 4, "the number of records is lost")  # noqa: PLR2004  # the range above


def _check_distinct(form: AnyPieceFormat) -> None:
    for name, values in DISTINCT.items():
        alone = Dataset("things", "Things", "Things.", (_field(name),), Provenance.PROVIDED, Role.CONTROLLER, (name,))
        documents = [_encoded(form, [{name: value}], alone) for value in (None, *values)]
        require(len(set(documents)) == len(documents), f"two different values of type {name} give the same bytes")
        for one, other in combinations(values[:3], 2):
            pair, turned = [{name: one}, {name: other}], [{name: other}, {name: one}]
            require(_encoded(form, pair, alone) != _encoded(form, turned, alone), "the order of records is lost")


def _check_refusals(form: AnyPieceFormat) -> None:
    for name, value in REFUSED:
        _check_refused(
            form, [VALUES, VALUES | {name: value}], f"things.{name}, record 2: ", f"{name} is {_kind(value)}"
        )
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    _check_refused(form, [{"object": deep}], "things.object, record 1: ", "an object is nested 5,000 levels deep")
    _check_refused(form, [{"canary": 1}], "things, record 1: ", "a field is not declared")


def _check_refused(form: AnyPieceFormat, records: Sequence[Any], begins: str, what: str) -> None:
    try:
        for _block in encoded(form, SAMPLE, records):
            pass
    except FormatError as error:
        require(str(error).startswith(begins), f"{what}: the error message must begin with {begins!r}")
        require("canary" not in str(error), f"{what}: the error message contains the value")
        hides = error.__suppress_context__ or error.__context__ is None
        require(hides, f"{what}: the error shows its cause, which may contain the value: raise it `from None`")
    except Exception as error:
        raise AssertionError(f"{what}: it raises {type(error).__name__} instead of FormatError") from error
    else:
        raise AssertionError(f"{what}: it is written instead of raising FormatError")


def _check_streaming(form: AnyPieceFormat) -> None:
    """Check that a writer encodes 50 MB of records in the memory of a few."""
    if not isinstance(form, WriterFormat):
        return
    taken = 0

    def records() -> Iterator[Record]:
        nonlocal taken
        for taken in range(1, 51):
            yield VALUES | {"string": "x" * (1 << 20), "integer": taken}

    tracemalloc.start()
    try:
        blocks = encoded(form, SAMPLE, records())
        total = len(next(blocks, b""))
        require(taken <= 10, "the writer writes no block within 10 MiB of records")  # noqa: PLR2004  # the number in the text
        total += sum(map(len, blocks))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    require(peak < 25 << 20, f"the writer needs {peak >> 20} MiB of memory for 50 MiB of records")


def _check_round_trip(form: AnyPieceFormat, decode: Decode) -> None:
    require(list(decode(SAMPLE, _encoded(form, []))) == [], "decoding a document without records gives something else")
    records: list[Record] = [VALUES, dict.fromkeys(VALUES), dict(reversed(VALUES.items())), {}]
    wanted = [VALUES, dict.fromkeys(VALUES), VALUES, dict.fromkeys(VALUES)]
    require(list(decode(SAMPLE, _encoded(form, records))) == wanted, "decoding records gives something else")
    for name, values in DISTINCT.items():
        read_back = [record[name] for record in decode(SAMPLE, _encoded(form, [{name: value} for value in values]))]
        same = read_back == list(values) and list(map(type, read_back)) == list(map(type, values))
        require(same, f"decoding values of type {name} gives something else")


def _encoded(form: AnyPieceFormat, records: Iterable[Record], dataset: Dataset = SAMPLE) -> bytes:
    return b"".join(encoded(form, dataset, records))


def _field(name: str) -> Field:
    return next(field for field in FIELDS if field.name == name)


def rows_of(records: Sequence[Record]) -> Rows:
    """Return records of SAMPLE with all fields as `Rows`."""
    columns = [[record[name] for record in records] for name in VALUES]
    return Rows(list(VALUES), columns, bytes(lines(list(VALUES), columns)))


def _kind(value: object) -> str:
    return f"{type(value).__name__}, which is not allowed"


FORMAT_RULES: Sequence[Callable[[AnyPieceFormat], None]] = (
    _check_shape,
    _check_blocks,
    _check_empty,
    _check_batching,
    _check_several_at_once,
    _check_fields,
    _check_distinct,
    _check_refusals,
    _check_streaming,
)
