from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members
from factories import CutExporter, MadeUpExporter, World, dataset, large_things, things, world_of
from gap_sources import retry_gaps, source_of
from hypothesis import given
from hypothesis import strategies as st
from viewed import BUILT_IN

from archive.viewer.shards import SHARD_BYTES
from portability.api import Field, FieldType, Provenance, Record, Role
from portability.api.errors import FormatError
from portability.api.rows import Rows
from portability.api.rows import lines as rows_as_lines
from worker.write.shards import ShardCutter

NAME = "portability.arrive("
WITH_ANY = dataset("things", Role.CONTROLLER, Field("any", FieldType.OBJECT, "Anything.", Provenance.OBSERVED))
NAMES = ["id", "text", "any"]


def cut(*batches: Sequence[Record]) -> ShardCutter:
    cutter = ShardCutter("made", WITH_ANY)
    for batch in batches:
        cutter.write(batch)
    cutter.close()
    return cutter


def as_rows(records: Sequence[Record]) -> Rows:
    columns = [[record[name] for record in records] for name in NAMES]
    return Rows(NAMES, columns, bytes(rows_as_lines(NAMES, columns)))


def thing(place: int, text: str | None, inner: Any = None) -> Record:
    return {"id": f"thing_{place}", "text": text, "any": inner}


def calls(paths: list[Path], folder: str) -> dict[str, list[Any]]:
    """The lines of all shards of some volumes, by name; without characters that a literal escapes."""
    found = {}
    for _path, body in members(paths):
        text = body.decode(errors="replace")
        if text.startswith(NAME) and f"/viewer/{folder}/" in text[:200]:
            name, lines = text.removeprefix(NAME).removesuffix("');\n").split("','", 1)
            found[name[1:]] = [json.loads(line) for line in lines.split("\\n")[:-1]]
    return found


def described(paths: list[Path]) -> dict[str, Any]:
    """What the page of the newest closing volume knows about the dataset."""
    (script,) = [body.decode() for name, body in members(paths[-1:]) if name == "viewer/data/made.things.js"]
    text = script.removeprefix("portability.add('").split("',[", 1)[0]
    found: dict[str, Any] = json.loads(text.removesuffix("'").replace("\\'", "'").replace("\\\\", "\\"))
    return found


def shown(paths: list[Path]) -> list[str]:
    """The ids of all records that the page can load."""
    shards = calls(paths, "rows")
    names = [f"{volume}/viewer/rows/{number:05}.js" for volume, number, _rows, _corrects in described(paths)["shards"]]
    assert sorted(names) == sorted(shards)
    return [row[0] for name in names for row in shards[name]]


def archived(made: World) -> tuple[str, list[Path]]:
    identifier = made.request()
    made.advance_all()
    return identifier, made.fetch(identifier)


@given(st.lists(st.text(max_size=20), max_size=9), st.data())
def test_shards_have_the_same_lines_however_records_arrive(texts: list[str], data: st.DataObject) -> None:
    """A line is the JSON array of a record's values: of rows and of records, in batches that end anywhere."""
    records = [thing(place, text, {"inner": text}) for place, text in enumerate(texts)]
    ends = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=4)))
    batches = [records[begin:end] for begin, end in zip([0, *ends], [*ends, len(records)], strict=True)]
    expected = [[f"thing_{place}", text, {"inner": text}] for place, text in enumerate(texts)]
    for arrived in (batches, [as_rows(batch) for batch in batches]):
        whole = b"".join(shard.text for shard in cut(*arrived).shards)
        assert [json.loads(line) for line in whole.split(b"\n")[:-1]] == expected


def test_a_shard_ends_with_the_line_that_fills_it() -> None:
    """A shard has less than its size and one line, however long that line is, and goes on in the next batch."""
    assert len('["thing_1","",null]\n') == 20
    some = [thing(1, "x" * 980)]
    first = cut(some * 200, some * 400, [thing(1, "y" * 1_000_000), *some]).shards
    assert [(len(shard.text), shard.rows) for shard in first] == [
        (308_000, 308),
        (292_000 + 1_000_020, 293),
        (1_000, 1),
    ]
    assert SHARD_BYTES == 307_200


def test_values_are_written_as_json_lines_write_them() -> None:
    """A field that a record lacks is null; an integer beyond 2^53 - 1 is a string, also where it is nested."""
    numbered = dataset("things", Role.CONTROLLER, Field("n", FieldType.INTEGER, "A number.", Provenance.OBSERVED))
    cutter = ShardCutter("made", numbered)
    cutter.write([{"id": "a", "text": "x"}, {"id": "b", "text": None, "n": 2**53}, {"id": "c", "n": 2**53 - 1}])
    cutter.close()
    assert cutter.shards[0].text == (b'["a","x",null]\n["b",null,"9007199254740992"]\n["c",null,9007199254740991]\n')
    assert cut([thing(1, None, {"n": [2**53]})]).shards[0].text == b'["thing_1",null,{"n":["9007199254740992"]}]\n'


def test_a_record_that_json_cannot_represent_is_refused() -> None:
    """It is refused as JSON Lines refuse it, without its value."""
    with pytest.raises(FormatError) as refused:
        cut([thing(1, "jane\ud800")])
    assert "jane" not in str(refused.value)


def test_the_parts_of_a_conversation_count_where_they_are() -> None:
    """A run of messages is found in its shard, although it began in one batch and went on in the next."""
    messages = BUILT_IN["chats"][1]
    said = [{"id": f"m{n}", "conversation_id": "c1" if n < 3 else "c2", "text": f"Halo {n}"} for n in range(5)]
    cutter = ShardCutter("chats", messages)
    cutter.write(said[:2])
    cutter.write(said[2:])
    cutter.close()
    (shard,) = cutter.shards
    assert shard.rows == 5
    assert [*shard.talks] == [
        (("chats", "messages", "c1"), (0, 3, "Halo 0")),
        (("chats", "messages", "c2"), (3, 2, "Halo 3")),
    ]


@pytest.mark.slow
def test_every_record_of_every_volume_and_slice_is_in_one_shard(tmp_path: Path) -> None:
    """Four slices, many volumes: the page of the last volume knows the shards of all, each signed with its volume."""
    made = world_of(tmp_path, CutExporter(large_things(600)), slice_bytes=65_536, slices_max=4, volume_bytes=65_536)
    _identifier, paths = archived(made)
    assert len(paths) > 4
    assert made.verify(paths).errors == ()
    assert sorted(shown(paths)) == sorted(f"thing_{n}" for n in range(600))
    assert [Path(key).suffix for key in made.archive_keys()] == [".zip"] * len(paths)


@pytest.mark.slow
def test_a_retry_adds_its_shards_to_those_of_the_revision_before(tmp_path: Path) -> None:
    """A corrected record is in a shard that replaces it; the others are still reached."""
    source = source_of(9, no_text={"thing_4"})
    made = world_of(tmp_path, source)
    identifier, _paths = archived(made)
    source.repair()
    retry_gaps(made, identifier)
    paths = made.fetch(identifier)
    assert [corrects for _volume, _number, _rows, corrects in described(paths)["shards"]] == [False] * (
        len(described(paths)["shards"]) - 1
    ) + [True]
    assert sorted(shown(paths)) == sorted([*(f"thing_{n}" for n in range(9)), "thing_4"])
    assert export_json(paths)["complete"] is True


def test_a_profile_with_an_excerpt_has_no_shards(tmp_path: Path) -> None:
    """`PORTABILITY_VIEWER_EXCERPTS` names the profile: the archive has no file of the viewer but the excerpt's."""
    _identifier, paths = archived(world_of(tmp_path, MadeUpExporter(things(9)), viewer_excerpts="access"))
    assert not [name for name, _body in members(paths) if name.startswith("viewer/rows/")]
    assert "shards" not in described(paths)


def test_an_export_without_json_lines_has_an_excerpt(tmp_path: Path) -> None:
    """The viewer shows JSON Lines: an export in CSV alone shows its first records."""
    made = world_of(tmp_path, MadeUpExporter(things(9)))
    identifier = made.request(formats=["csv"])
    made.advance_all()
    assert described(made.fetch(identifier))["shards"] == []
