"""What every registered format promises."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from portability.api import JSON, Dataset, Field, FieldType, Format, Provenance, Record, Role
from portability.errors import FormatError
from portability.plugins import FORMATS, find, load_formats

NAMES = [name for name, plugin in find(FORMATS).items() if isinstance(plugin.load(), Format)]
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
DATASET = Dataset("things", "Things", "Things.", FIELDS, Provenance.PROVIDED, Role.CONTROLLER, ("integer",))


@pytest.fixture(params=NAMES)
def made(request: pytest.FixtureRequest) -> Any:
    """A format; the built-in ones can also decode."""
    return load_formats([request.param])[request.param]


def test_the_built_in_formats_are_registered() -> None:
    """JSON Lines and CSV enter by the same door as a stranger's."""
    assert {"jsonl", "csv"} <= set(NAMES)


def test_the_suffix_and_media_type(made: Format) -> None:
    """A suffix begins with its dot and makes a legal member name; the media type is one."""
    assert made.suffix.startswith(".")
    assert made.suffix[1:].isalnum()
    assert "/" in made.media_type


def test_no_records_make_a_valid_document(made: Any) -> None:
    """An empty run of records is a document that reads back as no records."""
    data = b"".join(made.encode(DATASET, []))
    assert list(made.decode(DATASET, data)) == []


def test_every_type_and_null(made: Any) -> None:
    """Every type goes through, and NULL in every field; a record's order and gaps do not matter."""
    records = [VALUES, dict.fromkeys(VALUES), dict(reversed(VALUES.items()))]
    data = b"".join(made.encode(DATASET, iter([*records, {}])))
    assert list(made.decode(DATASET, data)) == [*records, dict.fromkeys(VALUES)]


def test_blocks_are_large_and_independent_of_how_records_come(made: Format) -> None:
    """Blocks have 256 KiB at least, but for the last; the bytes are the same each time."""
    records = [VALUES] * 5000
    blocks = list(made.encode(DATASET, records))
    assert len(blocks) > 2
    assert min(map(len, blocks[:-1])) >= 256 << 10
    assert b"".join(blocks) == b"".join(made.encode(DATASET, iter(records)))


def test_documents_are_cut_anywhere(made: Any) -> None:
    """Decoding takes blocks of any size: here single bytes."""
    data = b"".join(made.encode(DATASET, [VALUES, VALUES]))
    assert list(made.decode(DATASET, (data[n : n + 1] for n in range(len(data))))) == [VALUES, VALUES]


def test_memory_stays_flat(made: Format) -> None:
    """Records are taken one by one: 50 MB of them need a few records of memory."""

    def records() -> Iterator[Record]:
        for n in range(50):
            yield VALUES | {"string": "x" * (1 << 20), "integer": n}

    tracemalloc.start()
    total = sum(map(len, made.encode(DATASET, records())))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 50 << 20
    assert peak < 25 << 20


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("string", "canary\ud800"),
        ("string", 5),
        ("string", b"canary"),
        ("integer", "canary"),
        ("integer", 1.5),
        ("integer", True),
        pytest.param("integer", 10**5000, id="integer-huge"),
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
    ],
)
def test_what_cannot_be_carried_is_an_error(made: Format, name: str, value: Any) -> None:
    """A value that would be lost or changed is a FormatError that names dataset, field and record, never the value."""
    with pytest.raises(FormatError) as wrong:
        list(made.encode(DATASET, [VALUES, VALUES | {name: value}]))
    assert str(wrong.value).startswith(f"things.{name}, record 2: ")
    assert "canary" not in str(wrong.value)
    assert wrong.value.__suppress_context__


def test_too_deep_objects_are_an_error(made: Format) -> None:
    """An object that is nested without end is refused, not a crash."""
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(FormatError, match=r"things\.object, record 1"):
        list(made.encode(DATASET, [{"object": deep}]))


def test_undeclared_fields_are_an_error(made: Format) -> None:
    """A field that no column would hold is not lost silently."""
    with pytest.raises(FormatError, match="things, record 1"):
        list(made.encode(DATASET, [{"canary": 1}]))
