from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest
from archives import export_json, members
from factories import MadeUpExporter, World, file, things, world
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = [
    "../../x",
    "/etc/passwd",
    "C:\\x",
    "..",
    ".",
    "",
    "CON",
    "con.wav",
    "x" * 300,
    "x/" * 200,
    "a\x00b\x1b[31m\r\n.wav",
    "A.wav",
    "a.wav",
    "a.wav",
    "a.wav/b.wav",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "\ud800.wav",
    unicodedata.normalize("NFC", "é.wav"),
    unicodedata.normalize("NFD", "é.wav"),
    ".htaccess",
    "trailing. ",
    "%2e%2e%2fx",
    "日本語.wav",
]
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def exported_volumes(made: World) -> list[Path]:
    identifier = made.request()
    made.advance_all(most=100)
    assert made.view(identifier)["state"] == "ready"
    return made.fetch(identifier)


def check(paths: Sequence[Path], contents: Sequence[bytes], made: World) -> None:
    """The archive verifies, holds every content, and each of its names is harmless on any system."""
    assert made.verify(paths).errors == ()
    records = {"data/made/things.jsonl", "data/made/things.csv"}
    found = [(name, body) for name, body in members(paths) if name.startswith("data/made/") and name not in records]
    assert sorted(body for _name, body in found) == sorted(contents)
    for name, _body in found:
        path = PurePosixPath(name)
        assert not path.is_absolute()
        assert name.isascii()
        assert name.isprintable()
        assert not {"..", "."} & set(path.parts)
        assert not {part.split(".")[0].lower() for part in path.parts} & RESERVED
        assert len(name) < 200
    for volume in paths:
        lowered = [name.lower() for name, _body in members([volume])]
        assert len(set(lowered)) == len(lowered)


@pytest.mark.parametrize("volume_bytes", [65_536, 10_000_000])
def test_hostile_names_lose_nothing_and_do_no_harm(tmp_path: Path, volume_bytes: int) -> None:
    """Out of the folder, reserved, endless, invisible, alike: each content is there once, under a safe name."""
    contents = [f"content {n} ".encode() * 3000 for n in range(len(NAMES))]
    files = [file(name, content) for name, content in zip(NAMES, contents, strict=True)]
    made = world(tmp_path, {"made": MadeUpExporter(things(1), files={0: files})}, volume_bytes=volume_bytes)
    check(exported_volumes(made), contents, made)


@settings(max_examples=15)
@given(st.lists(st.text(st.characters()) | st.sampled_from(NAMES), max_size=8))
def test_any_names_at_all(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    """What holds for the listed names holds for all others."""
    contents = [b"content %d" % n for n in range(len(names))]
    files = [file(name, content) for name, content in zip(names, contents, strict=True)]
    exporter = MadeUpExporter(things(1), files={0: files})
    made = world(tmp_path_factory.mktemp("any"), {"made": exporter})
    check(exported_volumes(made), contents, made)


@pytest.mark.parametrize("control", ["sqlite", "postgresql"])
def test_gaps_with_hostile_names_are_recorded(tmp_path: Path, control: str, request: pytest.FixtureRequest) -> None:
    """A missing file of any name is in the ledger, whatever names the control database can store."""
    url = request.getfixturevalue("pg_url") if control == "postgresql" else None
    files = [found for name in NAMES for found in (file(name, b"", size=5), file(name, b"x"))]
    made = world(tmp_path, {"made": MadeUpExporter(things(1), files={0: files})}, database_url=url)
    paths = exported_volumes(made)
    assert made.verify(paths).ok
    gaps = export_json(paths)["gaps"]
    assert len(gaps) == len(NAMES)
    assert all(gap["what"].startswith("things/") for gap in gaps)
    assert {gap["reason"] for gap in gaps} == {"truncated"}
