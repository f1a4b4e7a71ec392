from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from archives import export_json, members
from factories import CutExporter, MadeUpExporter, World, large_things, things, world_of
from gap_sources import retry_gaps, source_of

NAME = "portability.arrive("


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


def test_every_record_of_every_volume_and_slice_is_in_one_shard(tmp_path: Path) -> None:
    """Four slices, many volumes: the page of the last volume knows the shards of all, each signed with its volume."""
    made = world_of(tmp_path, CutExporter(large_things(600)), slice_bytes=65_536, slices_max=4, volume_bytes=65_536)
    _identifier, paths = archived(made)
    assert len(paths) > 4
    assert made.verify(paths).errors == ()
    assert sorted(shown(paths)) == sorted(f"thing_{n}" for n in range(600))
    assert [Path(key).suffix for key in made.archive_keys()] == [".zip"] * len(paths)


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
    """Shards are cut from JSON Lines: an export in CSV alone shows its first records."""
    made = world_of(tmp_path, MadeUpExporter(things(9)))
    identifier = made.request(formats=["csv"])
    made.advance_all()
    assert described(made.fetch(identifier))["shards"] == []
