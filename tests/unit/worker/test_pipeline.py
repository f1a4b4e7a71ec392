from __future__ import annotations

import secrets
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members, records
from factories import MadeUpExporter, World, dataset, described, file, things, world_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, update

from portability.api import Field, FieldType, Provenance, Role, Size
from portability.database import models
from portability.database.engine import now, writing
from portability.requests import instructions
from portability.trust import keys
from worker import export
from worker.claim import claims

pytestmark = pytest.mark.slow

BRANDED = ("README.html", "notice.html", "viewer/style.css", "viewer/data/export.js")


def test_an_unknown_subject_gets_a_signed_archive_without_data(tmp_path: Path) -> None:
    """An archive without data is an answer, and signed like any other."""
    made = world_of(tmp_path, MadeUpExporter([]))
    identifier = made.request("user:nobody")
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    assert export_json(paths)["no_data_held"] is True
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", True)
    assert [line["state"] for line in export_json(paths)["datasets"]] == ["empty"]


def test_a_key_that_retires_meanwhile_does_not_sign(tmp_path: Path) -> None:
    """Rotation while a volume is written: the new key signs it, or it would not verify."""
    made: list[World] = []

    def rotate(number: int) -> None:
        if number == 1:
            with writing(made[0].engine) as connection:
                keys.new(connection, made[0].place.settings.keys, actor="operator:test")
                yesterday = models.signing_key.c.retired_at.is_not(None)
                connection.execute(update(models.signing_key).where(yesterday).values(retired_at=now(-86_400)))

    made.append(world_of(tmp_path, MadeUpExporter(things(9), on_batch=rotate)))
    identifier = made[0].request()
    made[0].advance_all()
    assert made[0].verify(made[0].fetch(identifier)).errors == ()


def test_an_old_worker_withdraws_its_late_volume(tmp_path: Path) -> None:
    """Published in one request after its lease had expired: its successor cleaned up too early, and has its own."""
    made: list[World] = []
    heirs: list[claims.Claim | None] = []

    def lose_the_lease(_number: int) -> None:
        if not heirs:
            with writing(made[0].engine) as connection:
                connection.execute(update(models.slice).values(lease_until=now(-1)))
            heirs.append(made[0].claim())

    made.append(world_of(tmp_path, MadeUpExporter(things(9), on_batch=lose_the_lease)))
    identifier = made[0].request()
    zombie = made[0].claim()
    assert zombie is not None
    export.advance(made[0].place, zombie)
    assert list(made[0].place.storage.list()) == []

    (heir,) = heirs
    assert heir is not None
    export.advance(made[0].place, heir)
    assert made[0].verify(made[0].fetch(identifier)).ok


@pytest.mark.parametrize("promised", [True, False])
def test_a_file_larger_than_a_volume_goes_out_in_parts(tmp_path: Path, promised: bool) -> None:
    """Over several volumes, in order, every byte once; also where its size was not known beforehand."""
    content = secrets.token_bytes(500_000)
    recording = file("a.wav", content) if promised else _unsized(content)
    made = world_of(tmp_path, MadeUpExporter(things(1), files={0: [recording]}), volume_bytes=65_536)
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    parts = [(name, body) for name, body in members(paths) if "/a.wav" in name]
    assert made.verify(paths).ok
    assert len(paths) > 5
    assert b"".join(body for _name, body in parts) == content
    assert [name for name, _body in parts] == sorted(name for name, _body in parts)


def test_versions_of_a_file_are_not_mixed_over_volumes(tmp_path: Path) -> None:
    """A recording that is replaced between two volumes: the rest is not of the file whose parts are written."""
    files = [replace(file("a.wav", secrets.token_bytes(300_000)), etag="1")]
    made = world_of(tmp_path, MadeUpExporter(things(1), files={0: files}), volume_bytes=65_536)
    identifier = made.request()
    first = files[0]
    for _ in range(3):
        held = made.claim()
        assert held
        export.advance(made.place, held)
    files[0] = replace(file("a.wav", secrets.token_bytes(300_000)), etag="2")
    made.advance_all()
    paths = made.fetch(identifier)
    joined = b"".join(body for name, body in members(paths) if "/a.wav" in name)
    assert joined
    assert b"".join(first.open(0)).startswith(joined)
    assert [gap["reason"] for gap in export_json(paths)["gaps"]] == ["changed"]


def _unsized(content: bytes) -> Any:
    return replace(file("a.wav", content), size=None)


def test_files_of_one_name_do_not_stop_an_export(tmp_path: Path) -> None:
    """A position finds its file by name: equal names must not lead back to the first one endlessly."""
    contents = [secrets.token_bytes(70_000) for _ in range(4)]
    exporter = MadeUpExporter(things(1), files={0: [file("a.wav", content) for content in contents]})
    made = world_of(tmp_path, exporter, volume_bytes=65_536)
    identifier = made.request()
    made.advance_all(most=50)
    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    joined = b"".join(body for name, body in members(paths) if ".wav" in name)
    assert joined == b"".join(contents)


def test_files_of_one_name_in_several_batches_are_all_there(tmp_path: Path) -> None:
    """Each has a name of its own, and a gap says that nothing tells which of them a record names."""
    contents = [secrets.token_bytes(100) for _ in range(3)]
    files = {number: [file("a.wav", content)] for number, content in enumerate(contents)}
    made = world_of(tmp_path, MadeUpExporter(things(9), files=files))
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)

    named = {path.rpartition("/")[2]: body for path, body in members(paths) if ".wav" in path}
    assert made.verify(paths).ok
    assert named == dict(zip(("a.wav", "a-2.wav", "a-3.wav"), contents, strict=True))
    assert [(gap["what"], gap["reason"]) for gap in export_json(paths)["gaps"]] == [
        ("things/a-2.wav", "exporter_fault"),
        ("things/a-3.wav", "exporter_fault"),
    ]
    assert made.view(identifier)["complete"] is False


@settings(max_examples=15)
@given(
    number=st.integers(1, 12),
    batch=st.integers(1, 4),
    piece_bytes=st.integers(1, 1_000_000),
    volume_bytes=st.integers(65_536, 500_000),
)
def test_large_records_fill_many_pieces_and_volumes(
    number: int, batch: int, piece_bytes: int, volume_bytes: int
) -> None:
    """Pieces and volumes end at batches, are numbered in order, and join to what the source gave."""
    source = [{**thing, "text": secrets.token_hex(100_000)} for thing in things(number)]
    with tempfile.TemporaryDirectory() as folder:
        exporter = MadeUpExporter(source, batch_records=batch)
        made = world_of(Path(folder), exporter, piece_bytes=piece_bytes, volume_bytes=volume_bytes)
        identifier = made.request()
        made.advance_all()
        paths = made.fetch(identifier)
        assert made.verify(paths).ok
        assert records(paths, "made", "things") == source


def test_portability_has_no_derived_value_in_any_byte(tmp_path: Path) -> None:
    """For any exporter: derived data about a person is in an Art. 15 archive and in no Art. 20 archive."""
    mood = Field("mood", FieldType.STRING, "Guessed.", Provenance.DERIVED)
    exporter = MadeUpExporter(
        [{**thing, "mood": "melancholic"} for thing in things(4)], datasets=(dataset("things", Role.CONTROLLER, mood),)
    )
    made = world_of(tmp_path, exporter, notice_dir=described(tmp_path / "notice", "made/things"))
    for profile, expected in (("portability", False), ("access", True)):
        identifier = made.request(profile=profile)
        made.advance_all()
        paths = made.fetch(identifier)
        assert made.verify(paths).ok
        assert made.view(identifier)["complete"] is True
        assert len(records(paths, "made", "things")) == 4
        assert (b"melancholic" in b"".join(body for _name, body in members(paths))) is expected


def test_a_missing_instruction_is_a_referral(tmp_path: Path) -> None:
    """The ledger names the tenant to ask, and the archive is not complete. Once ordered, the data is there."""
    made = world_of(tmp_path, MadeUpExporter(things(2), datasets=(dataset("calls", Role.PROCESSOR),)))
    first = made.request("contact:con_1", tenant="ten_1")
    made.advance_all()
    (line,) = export_json(made.fetch(first))["datasets"]
    assert (line["state"], line["tenants"], line["records"]) == ("needs_instruction", ["ten_1"], 0)
    view, document = made.view(first), export_json(made.fetch(first))
    assert (view["complete"], view["outcome"]) == (False, {"own": "none", "processor": "referred"})
    assert (document["no_data_held"], document["gaps"]) == (False, [])
    with writing(made.engine) as connection:
        instructions.add(connection, "ten_1", contact_id="con_1", exporters=None, actor="tenant_admin:x")
    second = made.request("contact:con_1", tenant="ten_1")
    made.advance_all()
    assert len(records(made.fetch(second), "made", "calls")) == 2
    assert made.view(second)["outcome"] == {"own": "complete", "processor": "delivered"}


class MiscountingExporter(MadeUpExporter):
    """Counts as wrongly as possible."""

    answer: Any = None

    def count(self, *_args: Any) -> Size:
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: Size = self.answer
        return answer


@pytest.mark.parametrize("answer", [None, "many", Size(None), ValueError("x"), Size(3, "much")])  # type: ignore[arg-type]
def test_an_exporter_that_cannot_count_is_read_all_the_same(tmp_path: Path, answer: Any) -> None:
    """Progress is a courtesy: a wrong count costs the export nothing."""
    exporter = MiscountingExporter(things(3))
    exporter.answer = answer
    made = world_of(tmp_path, exporter)
    identifier = made.request()
    made.advance_all()
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", True)


def test_a_small_export_asks_the_control_database_seldom(tmp_path: Path) -> None:
    """What belongs together is read and written together: each question costs a small export, and a busy database."""
    made = world_of(tmp_path, MadeUpExporter(things(7)))
    identifier = made.request()
    asked: list[str] = []

    def note(*arguments: Any) -> None:
        asked.append(arguments[2].split()[0])

    event.listen(made.engine, "before_cursor_execute", note)
    held = made.claim()
    assert held is not None
    export.advance(made.place, held)
    transactions = asked.count("BEGIN")
    assert transactions <= 11
    assert len(asked) - transactions <= 25
    assert made.view(identifier)["state"] == "ready"


def test_an_archive_has_the_name_and_colours_of_the_deployment(tmp_path: Path) -> None:
    """In its file names, its README and its viewer; it verifies like any other."""
    brand = {"brand_name": "Acme Data", "brand_archive_prefix": "acme", "brand_colour": "#0a7d33"}
    made = world_of(tmp_path, MadeUpExporter(things(2)), **brand)
    identifier = made.request()
    made.advance_all()
    (path,) = made.fetch(identifier)

    assert path.name == f"acme-{identifier}-001.zip"
    assert made.verify([path]).ok
    with zipfile.ZipFile(path) as archive:
        texts = {name: archive.read(f"{path.stem}/{name}").decode() for name in BRANDED}
    assert "Acme Data (http://localhost:8000)" in texts["README.html"]
    assert '"brand":"Acme Data"' in texts["viewer/data/export.js"]
    for name in ("README.html", "notice.html", "viewer/style.css"):
        assert "--accent: #0a7d33" in texts[name], name
