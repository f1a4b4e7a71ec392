"""`make locale` keeps translations in step with their sources, and every kind of fault in them is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import catalogues
import pytest
from catalogue_faults import translation_faults
from catalogues import in_step, path, sources

SENTENCE = "The copy is kept until {until}.\n\nAsk {contact}."
TRANSLATED = "Die Kopie bleibt bis {until}.\n\nFragen Sie {contact}."
Write = Callable[[str], None]


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a catalogue `mail` of German whose source has the two codes `kept` and `audit`."""
    monkeypatch.setattr(catalogues, "FOLDER", tmp_path)
    source = SENTENCE.replace("\n", "\\n")
    for language in ("en", "de"):
        (tmp_path / language).mkdir()
    path("en", "mail").write_text(f'msgid "kept"\nmsgstr "{source}"\n\nmsgid "audit"\nmsgstr "Audit"\n')
    return lambda text: _write(path("de", "mail"), text)


def _write(file: Path, text: str) -> None:
    file.write_text(text)


def _entry(code: str, text: str, *, source: str = "", above: str = "") -> str:
    comment = f"#. {' '.join(source.split())}\n" if source else ""
    return f'{above}{comment}msgid "{code}"\nmsgstr "{text}"\n\n'.replace("\n\nF", "\\n\\nF")


RIGHT = _entry("kept", TRANSLATED, source=SENTENCE)
SAME = _entry("audit", "Audit", source="Audit", above="# same: the German word\n")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (RIGHT, "audit: no translation"),
        (RIGHT + _entry("audit", ""), "audit: no translation"),
        (RIGHT + _entry("audit", "Prüfung", above="#, fuzzy\n"), "audit: the source changed since"),
        (RIGHT + SAME + _entry("gone", "Weg"), "gone: the source has no such code"),
        (RIGHT + _entry("audit", "Audit"), "audit: it reads as its source"),
        (RIGHT + _entry("audit", "Audit", above="# same:\n"), "audit: it reads as its source"),
        (RIGHT + _entry("audit", "Prüfung", above="# same: a name\n"), "audit: it does not read as its source"),
        (SAME + _entry("kept", TRANSLATED.replace("{until}", "bald")), "kept: its placeholders are not"),
        (SAME + _entry("kept", TRANSLATED.replace("\n\n", " ")), "kept: it has not as many paragraphs"),
        (SAME + _entry("kept", TRANSLATED.rstrip(".")), "kept: one of source and translation ends"),
    ],
    ids=lambda value: value if len(value) < 80 else "",
)
def test_a_fault_of_a_translation_is_found(german: Write, content: str, fault: str) -> None:
    """Each kind of fault, with the file and the code that it is in."""
    german(content)

    [found] = translation_faults("de", "mail")
    assert found.startswith(f"de/mail {fault}")


def test_names_of_data_stay_as_they_are(german: Write) -> None:
    """`null`, `crm/contacts`, `ai_agent` and E.164 are the same in every language."""
    german(_entry("audit", "Wie id in crm/contacts, ki_agent, Null: E.164, MEZ"))
    path("en", "mail").write_text(_entry("audit", "As `id` in crm/contacts, ai_agent, null: E.164, UTC"))

    assert translation_faults("de", "mail") == ["de/mail audit: it lacks ['`id`', 'ai_agent', 'null', 'UTC']"]


def test_a_right_translation_has_no_fault(german: Write) -> None:
    """Neither has a word that both languages share, where a comment says so."""
    german(RIGHT + SAME)

    assert translation_faults("de", "mail") == []


def _in_step() -> str:
    """Bring the German catalogue in step, and return its entries without the head of the file."""
    text = in_step("de", "mail", sources("mail"))
    _write(path("de", "mail"), text)
    assert in_step("de", "mail", sources("mail")) == text
    head, entries = text.split("\n\n", 1)
    assert head.count("\n") == 7
    return entries


def test_a_code_that_is_new_waits_for_its_translation(german: Write) -> None:
    """In the place where the source has it, with the source above."""
    german(SAME)

    assert _in_step() == _entry("kept", "", source=SENTENCE) + SAME


def test_a_code_that_has_gone_is_removed(german: Write) -> None:
    """With its translation."""
    german(RIGHT + _entry("gone", "Weg", source="Gone") + SAME)

    assert "gone" not in _in_step()


def test_a_code_with_another_name_keeps_its_translation(german: Write) -> None:
    """The same source text is translated once; where it has two translations, a person decides."""
    german(_entry("former", "Prüfung", source="Audit") + RIGHT)
    assert _entry("audit", "Prüfung", source="Audit") in _in_step()

    german(_entry("former", "Prüfung", source="Audit") + _entry("another", "Kontrolle", source="Audit") + RIGHT)
    assert _entry("audit", "", source="Audit") in _in_step()


def test_a_translation_of_another_source_is_marked(german: Write) -> None:
    """It says what it translates until a person removes the mark; then this remark goes, too."""
    german(RIGHT + _entry("audit", "Prüfung", source="Check", above="# a note\n"))
    marked = _entry("audit", "Prüfung", above="# a note\n# was: Check\n#. Audit\n#, fuzzy\n")
    assert marked in _in_step()

    german(RIGHT + marked.replace("#, fuzzy\n", ""))
    assert _entry("audit", "Prüfung", source="Audit", above="# a note\n") in _in_step()


@pytest.mark.usefixtures("german")
def test_a_language_begins_with_one_command(tmp_path: Path) -> None:
    """Every catalogue with every code, nothing translated; a name that is not a language is refused."""
    assert catalogues.write_catalogues(["fr"]) == 0

    assert sorted(file.stem for file in (tmp_path / "fr").iterdir()) == ["data", "mail", "notice"]
    assert "Plural-Forms: nplurals=" in path("fr", "mail").read_text()
    assert translation_faults("fr", "mail") == ["fr/mail audit: no translation", "fr/mail kept: no translation"]
    assert catalogues.write_catalogues(["nowhere"]) == 2
    assert not (tmp_path / "nowhere").exists()
