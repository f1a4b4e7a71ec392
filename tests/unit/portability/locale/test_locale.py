from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.plurals import get_plural

from portability import locale

PLURAL = re.compile(r"\{(?:count|records|files)\} (?:more |weitere )?(?:\w+s\b|\w+en\b|[A-ZÄÖÜ]\w*[ens]\b)")
"""A number before a noun or verb that is right for some numbers only."""
ALWAYS_MANY = {"archive.readme.volume_closing"}
"""Said of two and more."""


def test_a_sentence_is_found_by_its_code() -> None:
    """In each language, with its placeholders filled in."""
    assert locale.text("en", "mail.ready.subject") == "The copy of your data is ready"
    assert locale.text("id", "mail.ready.subject") == "Salinan data Anda sudah siap"
    assert locale.text("en", "mail.reference", id="exp_1") == "Your request number is exp_1."


def test_another_language_reads_as_english() -> None:
    """Also one whose tag would name another folder."""
    for tag in ("xx", "", "../en", "en/../id"):
        assert locale.text(tag, "mail.ready.subject") == "The copy of your data is ready"


def test_an_unknown_code_is_an_error() -> None:
    """Shown with its name; where a caller expects it, `find` answers None."""
    with pytest.raises(locale.UnknownText, match=r"mail\.never"):
        locale.text("en", "mail.never")
    assert locale.find("en", "mail.never") is None
    assert locale.find("en", "never.never") is None


def test_an_author_s_text_is_translated_by_its_code() -> None:
    """The text itself stands where no catalogue has the code."""
    assert locale.translated("id", "data.account/profile.title", "Account profile") == "Profil akun"
    assert locale.translated("id", "data.strange/things.title", "Things") == "Things"
    assert locale.translated("en", "data.account/profile.title", "Account profile") == "Account profile"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["id-ID"], "id"),
        (["in_ID"], "id"),
        (["ID"], "id"),
        (["xx", "id"], "id"),
        (["xx"], "en"),
        (["ilo"], "en"),
        ([""], "en"),
        ([], "en"),
        (["EN-gb", "id"], "en"),
    ],
)
def test_the_nearest_language(tags: list[str], expected: str) -> None:
    """By the tag of BCP 47 or its beginning, in the order of the tags; the former tag of Indonesian too."""
    assert locale.nearest(tags) == expected


def test_a_region_may_have_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader gets the folder of the region where there is one, else that of the language."""
    monkeypatch.setattr(locale, "languages", lambda: ("en", "pt", "pt-BR"))
    assert [locale.nearest([tag]) for tag in ("pt-br", "pt_PT", "pt-BR-x-own", "PT")] == ["pt-BR", "pt", "pt-BR", "pt"]


def test_a_language_has_its_own_name() -> None:
    """As its catalogue says, else as CLDR does."""
    assert (locale.own_name("en"), locale.own_name("id")) == ("English", "Bahasa Indonesia")
    assert (locale.own_name("fr"), locale.own_name("pt-BR")) == ("Français", "Português (Brasil)")


def test_a_placeholder_may_have_any_name() -> None:
    """Also those of the parameters of `text`."""
    filled = locale.text("en", "mail.code.paragraphs", code="1234 5678", minutes="10", language="en")
    assert "1234 5678" in filled


def test_what_is_not_translated_reads_as_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence without a translation, and one whose source changed since (`fuzzy`)."""
    monkeypatch.setattr(locale, "FOLDER", tmp_path)
    monkeypatch.setattr(locale, "languages", lambda: ("en", "tlh"))
    for language, texts in (("en", ("Keep", "Copy", "Move")), ("tlh", ("pol", "", "vIH"))):
        kept, copied, moved = texts
        (tmp_path / language).mkdir()
        (tmp_path / language / "trial.po").write_text(
            f'msgid "keep"\nmsgstr "{kept}"\n\nmsgid "copy"\nmsgstr "{copied}"\n\n'
            f'{"#, fuzzy" if language != "en" else "#"}\nmsgid "move"\nmsgstr "{moved}"\n'
        )

    assert locale.sentences("tlh", "trial") == {"keep": "pol", "copy": "Copy", "move": "Move"}
    assert [locale.text("tlh", f"trial.{name}") for name in ("keep", "copy", "move")] == ["pol", "Copy", "Move"]
    assert locale.translated("tlh", "trial.copy", "Copy!") == "Copy!"


@pytest.mark.parametrize("language", [each for each in locale.languages() if get_plural(each).num_plurals > 1])
def test_a_sentence_is_right_for_one_and_for_many(language: str) -> None:
    """A number stands after its noun (`records: 1`): a catalogue has one form of a sentence for all numbers."""
    said = {
        f"{domain}.{code}": sentence
        for domain in ("archive", "pages", "mail")
        for code, sentence in locale.sentences(language, domain).items()
    }

    assert len(said) > 1000
    assert {code for code, sentence in said.items() if PLURAL.search(sentence)} - ALWAYS_MANY == set()
