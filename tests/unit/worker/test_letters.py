from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from string import Formatter

import pytest

from portability.mail import Letter
from portability.notify import Kind
from worker import letters

FACTS = {"id": "abcd", "due": "D", "until": "U", "code": "1234 5678", "minutes": "10"}
WORDS = {
    language: tomllib.loads((letters.FOLDER / f"{language}.toml").read_text("utf-8")) for language in letters.LANGUAGES
}


def written(kind: Kind, language: str) -> Letter:
    url = "https://data.vlint.example/me?a=1&b=2"
    return letters.write(kind, language, FACTS, url=url, contact="privacy@vlint.example")


def braces(text: object) -> set[str]:
    return {name for _text, name, _format, _conversion in Formatter().parse(str(text)) if name}


def test_the_languages_say_the_same() -> None:
    """The same keys, as many paragraphs, the same facts in each."""
    english, indonesian = WORDS["en"], WORDS["id"]

    assert english.keys() == indonesian.keys()
    for kind in Kind:
        assert english[kind].keys() == indonesian[kind].keys()
        paragraphs = zip(english[kind]["paragraphs"], indonesian[kind]["paragraphs"], strict=True)
        assert all(braces(one) == braces(other) for one, other in paragraphs)


@pytest.mark.parametrize("language", letters.LANGUAGES)
def test_words_name_no_more_than_they_may(language: str) -> None:
    """A request's number, times, a code, whom to ask: nothing else can get into a mail (R45)."""
    texts = [text for kind in Kind for text in WORDS[language][kind]["paragraphs"]]

    assert set().union(*map(braces, texts)) <= FACTS.keys()
    assert not any(braces(WORDS[language][kind]["subject"]) for kind in Kind)


@pytest.mark.parametrize("language", letters.LANGUAGES)
@pytest.mark.parametrize("kind", list(Kind))
def test_a_letter_is_whole_in_both_forms(kind: Kind, language: str) -> None:
    """Each sentence in the text and in the HTML, with the link quoted, and nothing left in braces."""
    letter = written(kind, language)
    text, html = (re.sub(r"\s+", " ", form) for form in (letter.text, letter.html))

    for paragraph in WORDS[language][kind]["paragraphs"]:
        assert paragraph.format_map(FACTS) in text
    assert f'<html lang="{language}">' in html
    assert not braces(text)
    assert ("https://data.vlint.example/me?a=1&b=2" in text) == (kind is not Kind.CODE)
    assert ("https://data.vlint.example/me?a=1&amp;b=2" in html) == (kind is not Kind.CODE)
    assert max(map(len, letter.text.splitlines())) <= 78
    assert not re.search(r"<(img|script|link|iframe)", html)


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("id", "id"),
        ("id-ID", "id"),
        ("in_ID", "id"),
        ("ID", "id"),
        ("en-GB", "en"),
        ("ilo", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_the_language_is_the_readers(tag: str | None, language: str) -> None:
    """Indonesian for whoever has chosen it, by its old tag too; English for all others."""
    assert letters.language(tag) == language


def test_times_are_written_out() -> None:
    """With the month's name and the zone: no 03/04."""
    moment = datetime(2026, 3, 4, 8, 5, tzinfo=UTC)

    assert letters.date(moment, "en") == "4 March 2026, 08:05 UTC"
    assert letters.date(moment, "id") == "4 Maret 2026, 08:05 UTC"
