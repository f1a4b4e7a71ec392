"""What people call a source: its own title in archives, in their language where it is translated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from archives import export_json, members
from factories import MadeUpExporter, things, world

from portability.api import TitledExporter
from portability.plugins import load_exporters
from portability.settings import load_settings
from portability.sources import PlatformSources

ROW = re.compile(r"<tr><td>([^<]*)<small>[^<]*</small></td>")


@dataclass
class TitledMadeUpExporter(MadeUpExporter):
    """A source with a title."""

    title: str = ""


def archive_of(folder: Path, name: str, exporter: MadeUpExporter) -> list[Path]:
    """The archive of a person with three records of one source."""
    made = world(folder, {name: exporter}).with_all_keys()
    identifier = made.request()
    made.advance_all()
    paths = made.fetch(identifier)
    assert made.verify(paths).errors == ()
    return paths


def shown(paths: list[Path]) -> list[str]:
    """What the summary calls the source, in the order of the languages' sections."""
    return ROW.findall(dict(members(paths[-1:]))["README.html"].decode())


def test_an_archive_has_the_title_of_its_source(tmp_path: Path) -> None:
    """README.html, and the viewer, which reads export.json: without a translation it is the same in all languages."""
    paths = archive_of(tmp_path, "made", TitledMadeUpExporter(things(3), title="Our <shop>"))
    assert export_json(paths)["sources"] == [{"exporter": "made", "title": "Our <shop>", "translations": {}}]
    assert shown(paths) == ["Our &lt;shop&gt;"] * 3


def test_a_source_without_a_title_has_its_name_as_words(tmp_path: Path) -> None:
    """Exporters of packages need no title."""
    paths = archive_of(tmp_path, "loyalty_points", MadeUpExporter(things(3)))
    assert export_json(paths)["sources"] == []
    assert shown(paths) == ["Loyalty points"] * 3


def test_a_source_with_the_name_of_a_built_in_one_has_its_own_title(tmp_path: Path) -> None:
    """No language calls a company's own source what it calls the reference platform's."""
    paths = archive_of(tmp_path, "calls", TitledMadeUpExporter(things(3), title="Night calls"))
    assert export_json(paths)["sources"] == [{"exporter": "calls", "title": "Night calls", "translations": {}}]
    assert shown(paths) == ["Night calls"] * 3


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("calls", ("Phone calls", "Telefonanrufe", "Panggilan telepon")),
        ("portability", ("Your requests and copies", "Ihre Anträge und Kopien", "Permintaan dan salinan Anda")),
    ],
)
def test_a_built_in_source_has_a_title_in_each_language(tmp_path: Path, name: str, titles: tuple[str, ...]) -> None:
    """Each of them says what it has, in the words of the pages."""
    loaded: Any = load_exporters(PlatformSources(load_settings(dir=tmp_path)))
    assert all(isinstance(one, TitledExporter) for one in loaded.values())
    paths = archive_of(tmp_path, name, TitledMadeUpExporter(things(3), title=loaded[name].title))
    (source,) = export_json(paths)["sources"]
    assert source["translations"] == {"title": {"de": titles[1], "id": titles[2]}}
    assert sorted(shown(paths)) == sorted(titles)
    assert source["title"] == titles[0]
