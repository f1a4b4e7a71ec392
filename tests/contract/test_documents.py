"""Formats that make documents, and what the pipeline does with them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from archives import export_json, members, records
from factories import MadeUpExporter, World, dataset, file, things, world

from archive.names import is_safe
from portability import plugins
from portability.api import Dataset, Document, DocumentFormat, Record
from portability.api.errors import FormatError
from portability.plugins import FORMATS, find, load_document_formats

NAMES = [name for name, plugin in find(FORMATS).items() if isinstance(plugin.load(), DocumentFormat)]
LETTERS = replace(dataset("letters"), documents=True)
MODULE = "a_strangers_letters"


class Letters:
    """A format of a stranger: each record a text of its own."""

    suffix = ".txt"
    media_type = "text/plain"

    def documents(self, dataset: Dataset, record: Record) -> Iterator[Document]:
        if dataset.name != "letters":
            return
        text = str(record["text"])
        if text == "unspeakable":
            raise FormatError("letters: a text that cannot be written")
        yield Document(f"{record['id']}{self.suffix}", text.encode())


@pytest.fixture(autouse=True)
def _letters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add a third-party format to the installed formats."""
    module = ModuleType(MODULE)
    vars(module)["format"] = Letters()
    monkeypatch.setitem(sys.modules, MODULE, module)
    stranger = EntryPoint("letters", f"{MODULE}:format", FORMATS)
    known = plugins.installed
    more = tuple(plugins.declared([stranger]))
    monkeypatch.setattr(plugins, "installed", lambda group: [*known(group), *(more if group == FORMATS else ())])


def letters(tmp_path: Path, exporter: MadeUpExporter, **asked: Any) -> tuple[World, str, list[Path]]:
    """An archive of letters, made and verified."""
    limits = {name: asked.pop(name) for name in ("volume_members", "volume_bytes") if name in asked}
    made = world(tmp_path, {"made": exporter}, **limits)
    identifier = made.request(**{"formats": ["jsonl", "letters"], **asked})
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).ok
    made.engine.dispose()
    return made, identifier, paths


def documents(paths: list[Path]) -> dict[str, str]:
    return {name: body.decode() for name, body in members(paths) if name.startswith("data/") and name.endswith(".txt")}


def test_vcon_is_registered() -> None:
    """It enters by the same door as a stranger's format."""
    assert "vcon" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_suffix_and_media_type(name: str) -> None:
    """A suffix begins with its dot and makes a legal member name; the media type is valid."""
    made = load_document_formats([name])[name]
    assert made.suffix.startswith(".")
    assert is_safe(f"x{made.suffix}")
    assert "/" in made.media_type


@pytest.mark.parametrize("name", NAMES)
def test_a_dataset_that_it_does_not_know_gives_nothing(name: str) -> None:
    """Datasets of documents are for the formats that know them."""
    made = load_document_formats([name])[name]
    assert list(made.documents(replace(LETTERS, name="unheard-of"), {"id": "1", "text": "x"})) == []


@pytest.mark.parametrize("batch_records", [1, 7, 16])
@pytest.mark.parametrize("volume_members", [10, 14, 50_000])
def test_every_record_is_one_document(tmp_path: Path, batch_records: int, volume_members: int) -> None:
    """For all sizes of batches and volumes: each record once, and a volume exceeds its members by one batch at most."""
    source = things(47)
    exporter = MadeUpExporter(source, batch_records=batch_records, datasets=(LETTERS,))
    made, identifier, paths = letters(tmp_path, exporter, volume_members=volume_members)

    assert documents(paths) == {f"data/made/letters/{one['id']}.txt": one["text"] for one in source}
    assert made.view(identifier)["complete"] is True
    (line,) = export_json(paths)["datasets"]
    assert (line["state"], line["records"], line["files"]) == ("complete", 47, 0)
    sizes = [len(documents([path])) for path in paths]
    assert max(sizes) <= max(volume_members, batch_records)


def test_files_lie_beside_documents(tmp_path: Path) -> None:
    """A batch of documents may bring files, as any batch."""
    exporter = MadeUpExporter(things(24), batch_records=10, files={0: [file("b.wav", b"sound")]}, datasets=(LETTERS,))
    _made, _identifier, paths = letters(tmp_path, exporter, volume_members=10)
    assert [body for name, body in members(paths) if name == "data/made/letters/b.wav"] == [b"sound"]
    assert len(documents(paths)) == 24


def test_documents_are_described_as_what_they_are(tmp_path: Path) -> None:
    """datapackage.json lists each with one record, without a row schema; README counts them."""
    exporter = MadeUpExporter(things(2), datasets=(LETTERS, dataset()))
    _made, _identifier, paths = letters(tmp_path, exporter)
    found = dict(members(paths))
    resources = {one["path"]: one for one in json.loads(found["datapackage.json"])["resources"]}
    resource = resources["data/made/letters/thing_0.txt"]
    assert (resource["mediatype"], resource["x-records"], resource["x-dataset"]) == ("text/plain", 1, "letters")
    assert "schema" not in resource
    assert [name for name in found if name.startswith("schemas/made/")] == ["schemas/made/things.schema.json"]
    assert b'<td class="number">2</td>' in found["README.html"]


def test_a_record_that_cannot_be_written_is_a_gap(tmp_path: Path) -> None:
    """It is named by its id with the reason; the other records of its batch are there."""
    source: list[Record] = [*things(3)]
    source[1] = {"id": "thing_1", "text": "unspeakable"}
    made, identifier, paths = letters(tmp_path, MadeUpExporter(source, datasets=(LETTERS,)))
    assert sorted(documents(paths)) == ["data/made/letters/thing_0.txt", "data/made/letters/thing_2.txt"]
    assert made.view(identifier)["complete"] is False
    (gap,) = export_json(paths)["gaps"]
    assert (gap["what"], gap["reason"], gap["retryable"]) == ("letters/thing_1", "format_error", False)


def test_a_record_that_no_format_knows_is_a_gap(tmp_path: Path) -> None:
    """Nothing is missing silently, even without a fault."""
    unformatted = replace(LETTERS, name="runes")
    _made, _identifier, paths = letters(tmp_path, MadeUpExporter(things(1), datasets=(unformatted,)))
    assert [(gap["what"], gap["reason"]) for gap in export_json(paths)["gaps"]] == [("runes/thing_0", "no_format")]


def test_names_of_documents_are_made_safe(tmp_path: Path) -> None:
    """Ids become file names: hostile and equal ids get different names, and every file stays in its folder."""
    hostile = ["../../x", "CON", "a" * 300, "twin", "TWIN", "a/b", "\0"]
    source: list[Record] = [{"id": name, "text": str(n)} for n, name in enumerate(hostile)]
    _made, _identifier, paths = letters(tmp_path, MadeUpExporter(source, datasets=(LETTERS,)))
    found = documents(paths)
    assert sorted(found.values()) == [str(n) for n in range(len(hostile))]
    assert all(is_safe(name.removeprefix("data/")) for name in found)


def test_without_a_format_of_documents_they_are_not_included(tmp_path: Path) -> None:
    """The ledger of the archive says which datasets were left out for want of a format."""
    exporter = MadeUpExporter(things(2), datasets=(dataset(), LETTERS))
    _made, _identifier, paths = letters(tmp_path, exporter, formats=["jsonl"])
    left = export_json(paths)["not_included"]
    reason = {"reason": "format_not_asked_for", "explanation": "The request does not include its format (vCon)."}
    assert left == [{"exporter": "made", "dataset": "letters", "title": "Letters", "translations": {}, **reason}]
    assert len(records(paths, "made", "things")) == 2


def test_without_a_format_of_records_they_are_not_included(tmp_path: Path) -> None:
    """Documents alone can be asked for."""
    exporter = MadeUpExporter(things(2), datasets=(dataset(), LETTERS))
    _made, _identifier, paths = letters(tmp_path, exporter, formats=["letters"])
    (left,) = export_json(paths)["not_included"]
    assert (left["dataset"], left["reason"]) == ("things", "no_format_of_records")
    assert len(documents(paths)) == 2
