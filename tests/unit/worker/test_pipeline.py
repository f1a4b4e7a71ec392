from __future__ import annotations

import secrets
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members, records
from factories import MadeUpExporter, World, dataset, described, file, things, world
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event, update

from portability import instructions, keys, models
from portability.api import Exporter, Field, FieldType, Provenance, Role, Size
from portability.db import now, writing
from worker import claims, pipeline


def one(tmp_path: Path, exporter: Exporter, **settings: Any) -> World:
    return world(tmp_path, {"made": exporter}, **settings)


def test_an_unknown_subject_gets_a_signed_archive_without_data(tmp_path: Path) -> None:
    """That nothing is held is an answer, and signed like any other."""
    made = one(tmp_path, MadeUpExporter([]))
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

    made.append(one(tmp_path, MadeUpExporter(things(9), on_batch=rotate)))
    identifier = made[0].request()
    made[0].advance_all()
    assert made[0].verify(made[0].fetch(identifier)).errors == ()


def test_a_zombie_takes_its_late_volume_back(tmp_path: Path) -> None:
    """Published in one request after its lease was over: its heir tidied up before it was there, and has its own."""
    made: list[World] = []
    heirs: list[claims.Claim | None] = []

    def lose_the_lease(_number: int) -> None:
        if not heirs:
            with writing(made[0].engine) as connection:
                connection.execute(update(models.slice).values(lease_until=now(-1)))
            heirs.append(made[0].claim())

    made.append(one(tmp_path, MadeUpExporter(things(9), on_batch=lose_the_lease)))
    identifier = made[0].request()
    zombie = made[0].claim()
    assert zombie is not None
    pipeline.advance(made[0].place, zombie)
    assert list(made[0].place.storage.list()) == []

    (heir,) = heirs
    assert heir is not None
    pipeline.advance(made[0].place, heir)
    assert made[0].verify(made[0].fetch(identifier)).ok


@pytest.mark.parametrize("promised", [True, False])
def test_a_file_larger_than_a_volume_goes_out_in_parts(tmp_path: Path, promised: bool) -> None:
    """Over several volumes, in order, every byte once; also where its size was not known beforehand."""
    content = secrets.token_bytes(500_000)
    recording = file("a.wav", content) if promised else _unsized(content)
    made = one(tmp_path, MadeUpExporter(things(1), files={0: [recording]}), volume_bytes=65_536)
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    parts = [(name, body) for name, body in members(paths) if "/a.wav" in name]
    assert made.verify(paths).ok
    assert len(paths) > 5
    assert b"".join(body for _name, body in parts) == content
    assert [name for name, _body in parts] == sorted(name for name, _body in parts)


def _unsized(content: bytes) -> Any:
    return replace(file("a.wav", content), size=None)


def test_files_of_one_name_do_not_stop_an_export(tmp_path: Path) -> None:
    """A position finds its file by name: twins must not send it back to the first for ever."""
    contents = [secrets.token_bytes(70_000) for _ in range(4)]
    exporter = MadeUpExporter(things(1), files={0: [file("a.wav", content) for content in contents]})
    made = one(tmp_path, exporter, volume_bytes=65_536)
    identifier = made.request()
    made.advance_all(most=50)
    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    joined = b"".join(body for name, body in members(paths) if ".wav" in name)
    assert joined == b"".join(contents)


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
        made = one(Path(folder), exporter, piece_bytes=piece_bytes, volume_bytes=volume_bytes)
        identifier = made.request()
        made.advance_all()
        paths = made.fetch(identifier)
        assert made.verify(paths).ok
        assert records(paths, "made", "things") == source


def test_portability_has_no_derived_value_in_any_byte(tmp_path: Path) -> None:
    """Whatever an exporter yields: what was guessed about somebody is in an Art. 15 archive and in no Art. 20 one."""
    mood = Field("mood", FieldType.STRING, "Guessed.", Provenance.DERIVED)
    exporter = MadeUpExporter(
        [{**thing, "mood": "melancholic"} for thing in things(4)], datasets=(dataset("things", Role.CONTROLLER, mood),)
    )
    made = one(tmp_path, exporter, notice_dir=described(tmp_path / "notice", "made/things"))
    for profile, expected in (("portability", False), ("access", True)):
        identifier = made.request(profile=profile)
        made.advance_all()
        paths = made.fetch(identifier)
        assert made.verify(paths).ok
        assert made.view(identifier)["complete"] is True
        assert len(records(paths, "made", "things")) == 4
        assert (b"melancholic" in b"".join(body for _name, body in members(paths))) is expected


def test_an_instruction_that_is_missing_is_told_and_no_gap(tmp_path: Path) -> None:
    """The ledger names the tenant to ask; the archive is complete as far as it may be. Ordered, the data is there."""
    made = one(tmp_path, MadeUpExporter(things(2), datasets=(dataset("calls", Role.PROCESSOR),)))
    first = made.request("contact:con_1", tenant="ten_1")
    made.advance_all()
    (line,) = export_json(made.fetch(first))["datasets"]
    assert (line["state"], line["tenants"], line["records"]) == ("needs_instruction", ["ten_1"], 0)
    assert made.view(first)["complete"] is True
    assert export_json(made.fetch(first))["no_data_held"] is False
    with writing(made.engine) as connection:
        instructions.add(connection, "ten_1", contact_id="con_1", exporters=None, actor="tenant_admin:x")
    second = made.request("contact:con_1", tenant="ten_1")
    made.advance_all()
    assert len(records(made.fetch(second), "made", "calls")) == 2


class Uncountable(MadeUpExporter):
    """Counts as badly as one can."""

    answer: Any = None

    def count(self, *_args: Any) -> Size:
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: Size = self.answer
        return answer


@pytest.mark.parametrize("answer", [None, "many", Size(None), ValueError("x"), Size(3, "much")])  # type: ignore[arg-type]
def test_an_exporter_that_cannot_count_is_read_all_the_same(tmp_path: Path, answer: Any) -> None:
    """Progress is a courtesy: a wrong count costs the export nothing."""
    exporter = Uncountable(things(3))
    exporter.answer = answer
    made = one(tmp_path, exporter)
    identifier = made.request()
    made.advance_all()
    assert (made.view(identifier)["state"], made.view(identifier)["complete"]) == ("ready", True)


def test_a_small_export_asks_the_control_database_seldom(tmp_path: Path) -> None:
    """What belongs together is read and written together: each question costs a small export, and a busy database."""
    made = one(tmp_path, MadeUpExporter(things(7)))
    identifier = made.request()
    asked: list[str] = []

    def note(*told: Any) -> None:
        asked.append(told[2].split()[0])

    event.listen(made.engine, "before_cursor_execute", note)
    held = made.claim()
    assert held is not None
    pipeline.advance(made.place, held)
    transactions = asked.count("BEGIN")
    assert transactions <= 10
    assert len(asked) - transactions <= 38
    assert made.view(identifier)["state"] == "ready"
