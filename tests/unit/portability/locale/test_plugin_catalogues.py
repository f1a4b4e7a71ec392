from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portability import locale
from portability.api import Dataset, Field, FieldType, Provenance, Role
from portability.api.errors import BrokenPlugin
from portability.locale import plugin_catalogues, translations

FIELD = Field("id", FieldType.STRING, "Identifier of the note.", Provenance.OBSERVED)
NOTES = Dataset("notes", "Notes", "Notes that you keep.", (FIELD,), Provenance.PROVIDED, Role.CONTROLLER, ("id",))
GERMAN = """
msgid "helpdesk/notes.title"
msgstr "Notizen"

msgid "helpdesk/notes.fields.id"
msgstr "Kennung der Notiz."

#, fuzzy
msgid "helpdesk/notes.description"
msgstr "Notizen?"

msgid "account/profile.title"
msgstr "Profil des Helpdesks"
"""
Ship = Callable[..., None]


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ship]:
    """Install a package with catalogues by language."""
    caches = (locale._sentences, locale._translated_texts, translations.by_language, plugin_catalogues._folders)

    def clear() -> None:
        sys.modules.pop("helpdesk_texts", None)
        for cached in caches:
            cached.cache_clear()

    def install(package: str = "helpdesk_texts", **catalogues: str) -> None:
        for language, text in catalogues.items():
            folder = tmp_path / "helpdesk_texts" / "locale" / language
            folder.mkdir(parents=True)
            (folder / "data.po").write_text(text)
        (tmp_path / "helpdesk_texts" / "__init__.py").touch()
        info = tmp_path / "helpdesk_texts-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: helpdesk-texts\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[portability.catalogues]\nhelpdesk = {package}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        clear()

    yield install
    monkeypatch.undo()
    clear()


def test_a_package_brings_the_translations_of_its_datasets(ship: Ship) -> None:
    """Beside those of the product, in the same form; a doubtful translation is not shown."""
    ship(de=GERMAN)
    assert translations.of_dataset("helpdesk", NOTES) == {"title": {"de": "Notizen"}}
    assert translations.of_field("helpdesk", NOTES, FIELD) == {"description": {"de": "Kennung der Notiz."}}
    assert locale.translated("de", "data.account/profile.description", "") != ""


def test_a_package_that_replaces_a_built_in_exporter_translates_it(ship: Ship) -> None:
    """Its own texts describe its own dataset."""
    ship(de=GERMAN)
    assert locale.translated("de", "data.account/profile.title", "") == "Profil des Helpdesks"


def test_a_language_that_the_product_lacks_is_not_shown(ship: Ship) -> None:
    """Pages, mails and archives would be in two languages."""
    ship(fr=GERMAN.replace("Notizen", "Notes"))
    assert translations.of_dataset("helpdesk", NOTES) == {}
    assert "fr" not in locale.languages()


@pytest.mark.parametrize(
    ("package", "text", "message"),
    [
        ("helpdesk_gone", GERMAN, "'helpdesk' failed to load: ModuleNotFoundError"),
        ("helpdesk_texts", "canary\n", "'helpdesk': de/data.po is invalid: PoFileError"),
    ],
)
def test_a_broken_catalogue_is_named(ship: Ship, package: str, text: str, message: str) -> None:
    """By its entry point, without its content."""
    ship(package, de=text)
    with pytest.raises(BrokenPlugin, match=message) as raised:
        translations.of_dataset("helpdesk", NOTES)
    assert "canary" not in str(raised.value)
