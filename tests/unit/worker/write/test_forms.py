"""Forms beside the pieces of a volume, in whole archives of made-up sources."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import openpyxl
import orjson
import pytest
from factories import MadeUpExporter, World, dataset, file, things, world_of

from archive.parts import FORMS
from portability.api import Dataset, Field, FieldType, FormatError, Provenance, Record, Role, Sink, Unit
from portability.errors import VolumeFault
from portability.locale import languages
from worker.write import forms
from worker.write.forms import VolumeForms

pytestmark = pytest.mark.slow

CARD = "4111 1111 1111 1111"


def volumes_with(made: World, *names: str, **asked: Any) -> list[ZipFile]:
    """Make an export in JSON Lines and these forms, and verify it."""
    identifier = made.request(formats=["jsonl", *names], **asked)
    made.advance_all()
    volumes = made.fetch(identifier)
    assert made.verify(volumes).ok
    return [ZipFile(volume) for volume in volumes]


def content_of(volume: ZipFile, end: str) -> bytes:
    (name,) = [name for name in volume.namelist() if name.endswith(end)]
    return volume.read(name)


def cells(volume: ZipFile) -> Sequence[Sequence[object]]:
    sheet = openpyxl.load_workbook(BytesIO(content_of(volume, "/data/my-data.xlsx")))["made.things"]
    return [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]


def test_an_archive_has_the_forms_that_are_asked_for(tmp_path: Path) -> None:
    """Each has every record; the data package and the page name it, and the counts are those of the tables."""
    made = world_of(tmp_path, MadeUpExporter(things(50), batch_records=7, files={2: [file("a.wav", b"RIFF")]}))
    (volume,) = volumes_with(made, "xlsx", "sqlite", "vcard")

    records = [
        orjson.loads(line) for name in volume.namelist() if name.endswith(".jsonl") for line in volume.open(name)
    ]
    assert len(records) == 50
    assert cells(volume) == [[record["id"], record["text"]] for record in records]
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(content_of(volume, "/data/my-data.sqlite"))
        assert database.execute("select count(*) from made_things").fetchone() == (50,)
    assert [name for name in volume.namelist() if name.endswith(".vcf")] == [], "nothing here is a contact"

    package = orjson.loads(content_of(volume, "/datapackage.json"))
    named = {one["path"]: (one["x-form"], one["x-losses"]) for one in package["resources"] if "x-form" in one}
    assert named == {
        "data/my-data.xlsx": ("xlsx", {}),
        "data/my-data.sqlite": ("sqlite", {}),
    }
    page = content_of(volume, "/README.html").decode()
    assert 'href="data/my-data.xlsx"' in page
    assert "a sheet for each kind of data" in page
    assert FORMS[1].description not in page
    counted = orjson.loads(content_of(volume, "/counts.json"))
    assert [(one["dataset"], one["records"]) for one in counted["datasets"]] == [("things", 50)]


def test_each_volume_has_its_own_workbook(tmp_path: Path) -> None:
    """Together they have every record once; what waits in the forms counts when a volume is full."""
    records = [{**thing, "text": "x" * 20_000} for thing in things(200)]
    made = world_of(tmp_path, MadeUpExporter(records, batch_records=10), volume_bytes=65_536, piece_bytes=1)
    volumes = volumes_with(made, "sqlite", "xlsx")
    assert len(volumes) > 3
    rows = [row[0] for volume in volumes for row in cells(volume)]
    assert rows == [record["id"] for record in records]


def test_forms_have_what_the_tables_have(tmp_path: Path) -> None:
    """The scan masks a card number before any form is written: it is nowhere in the unpacked files."""
    made = world_of(tmp_path, MadeUpExporter([{"id": "1", "text": f"pay {CARD} now"}], batch_records=1))
    (volume,) = volumes_with(made, "xlsx", "sqlite")
    with ZipFile(BytesIO(content_of(volume, "/data/my-data.xlsx"))) as book:
        parts = [book.read(name) for name in book.namelist()]
    bodies = [*parts, *(volume.read(name) for name in volume.namelist())]
    assert not [body for body in bodies if CARD.encode() in body]
    assert "pay" in str(cells(volume)[0][1])
    assert CARD not in str(cells(volume)[0][1])


def test_a_batch_that_a_table_refuses_is_in_no_form(tmp_path: Path) -> None:
    """Forms get a piece only when every format of tables has taken it."""
    records: list[Record] = [*things(6), {"id": "bad", "text": {"no": "text"}}, *things(3)]
    made = world_of(tmp_path, MadeUpExporter(records, batch_records=3))
    (volume,) = volumes_with(made, "xlsx")
    assert len(cells(volume)) == 6


class RefusingForm:
    """A form that refuses a record, after it wrote some bytes."""

    suffix, media_type, unit, held = ".picky", "text/x-picky", Unit.VOLUME, 0

    def __init__(self) -> None:
        self.ended: list[str] = []

    def open(self, out: Sink) -> RefusingForm:
        self._out = out
        return self

    def begin(self, _exporter: str, _dataset: Dataset) -> None:
        self._out.begin("x.picky")

    def write(self, records: Sequence[Record]) -> None:
        self._out.write(b"some" * len(records))
        if any(record["id"] == "thing_4" for record in records):
            raise FormatError("no fours")

    def close(self) -> Mapping[str, int]:
        self.ended.append("close")
        return {"odd": 1, "rows_cut": 0}

    def abort(self) -> None:
        self.ended.append("abort")


def test_a_form_that_refuses_a_value_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive is complete without it, and a file in its place says so."""
    picky = RefusingForm()
    monkeypatch.setattr("worker.prepare.load_forms", lambda _names: {"picky": picky})
    made = world_of(tmp_path, MadeUpExporter(things(9), batch_records=3))
    (volume,) = volumes_with(made)
    assert [name for name in volume.namelist() if name.endswith(".picky")] == []
    assert b"could not be made" in content_of(volume, "/data/picky-missing.txt")
    assert "could not be made" in content_of(volume, "/README.html").decode()
    assert set(picky.ended) == {"abort"}
    assert orjson.loads(content_of(volume, "/export.json"))["outcome"]["own"] == "complete"


def test_losses_of_a_stranger_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A code without a sentence is shown as it is, and a count of 0 not at all."""
    monkeypatch.setattr("worker.prepare.load_forms", lambda _names: {"picky": RefusingForm()})
    (volume,) = volumes_with(world_of(tmp_path, MadeUpExporter(things(3), batch_records=3)))
    assert content_of(volume, "/data/x.picky") == b"some" * 3
    page = content_of(volume, "/README.html").decode()
    assert "<code>odd</code>: 1." in page
    package = orjson.loads(content_of(volume, "/datapackage.json"))
    assert [one["x-losses"] for one in package["resources"] if "x-form" in one] == [{"odd": 1}]
    assert "in the form <code>picky</code>" in page


def test_a_form_without_any_file_says_what_it_leaves_out(tmp_path: Path) -> None:
    """Two meetings without a time make no calendar. Before, an archive with that form said nothing of them."""
    fields = [Field(name, FieldType.STRING, "A text.", Provenance.PROVIDED) for name in ("starts_at", "subject")]
    records: list[Record] = [{"id": str(number), "starts_at": "soon", "subject": "Plans"} for number in range(2)]
    made = world_of(tmp_path, MadeUpExporter(records, datasets=(dataset("things", Role.CONTROLLER, *fields),)))
    (volume,) = volumes_with(made, "icalendar")

    said = content_of(volume, "/data/icalendar-missing.txt").decode().splitlines()
    assert said[languages().index("en")] == "Meetings without a valid time, which are only in the tables: 2."
    assert len(said) == len(languages())
    assert said[languages().index("en")] in content_of(volume, "/README.html").decode()
    assert [name for name in volume.namelist() if name.endswith(".ics")] == []


class Full:
    """A form whose disk is full."""

    suffix, media_type, unit, held = ".full", "text/plain", Unit.VOLUME, 0

    def open(self, _out: Sink) -> Full:
        return self

    def begin(self, *_given: object) -> None:
        raise OSError(28, "No space left on device")

    write = close = begin

    def abort(self) -> None:
        pass


def test_a_full_disk_names_the_folder() -> None:
    """The volume fails with what to do; the next worker may have room."""
    message = "form full: its temporary file cannot be written: No space left"
    made = VolumeForms({"full": Full()})  # type: ignore[dict-item]  # its methods take anything
    with closing(made) as volume, pytest.raises(VolumeFault, match=message) as raised:
        volume.write("made", dataset(), [things(1)])
    assert raised.value.retryable
    assert "TMPDIR" in str(raised.value.hint)


def test_a_spool_has_four_mebibytes_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is in a file without a name, and nothing is left of it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool = forms._Spool()
    spool.begin("a")
    for _number in range(5):
        spool.write(b"x" * (1 << 20))
    spool.begin("b")
    spool.write(b"y")
    assert spool._own._rolled  # type: ignore[attr-defined]  # of SpooledTemporaryFile
    assert [(one.name, sum(map(len, one.blocks()))) for one in spool.files] == [("a", 5 << 20), ("b", 1)]
    assert list(tmp_path.iterdir()) == []
    spool.close()
    assert spool.size == 0
