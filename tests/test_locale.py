"""Every language has every sentence, and its files are as `make locale` writes them."""

from __future__ import annotations

import re

import pytest
import repository
from catalogue_faults import translation_faults
from catalogues import IN_CODE, domains, in_step, path, sources, written

from portability import locale

CODE = {".py", ".js", ".html", ".txt", ".css", ".json", ".toml"}
FILES = [
    pytest.param(language, domain, id=f"{language}/{domain}")
    for language in locale.languages()
    for domain in domains()
    if language != locale.SOURCE or domain not in IN_CODE
]
TRANSLATIONS = [file for file in FILES if file.values[0] != locale.SOURCE]

TERMS = {
    "de": {
        r"\bGDPR\b": "DSGVO",
        r"\blit\.": "Buchst.",
        r"\bBand\b": "Archivteil",
        r"\bFirma\b|\bFirmen": "Unternehmen",
        r"\bMitarbeitern?\b": "Mitarbeitende",
        r"\bAbschrift|Transkript": "Mitschrift",
        r"\bAufnahmen?\b": "Aufzeichnung",
        r"Datengruppe": "Datenart",
        r"Aufzeichnungen über (Ihre )?Anfragen|Anfragen und Kopien": "Antrag: an Anfrage is an inquiry",
        r"\b([Dd]u|[Dd]ir|[Dd]ich|[Dd]eine?[mnrs]?)\b": "Sie",
    },
    "id": {
        r"\bArt\.": "Pasal",
        r"\bRecital\b": "Pertimbangan",
        r"\b[Ss]urel\b": "email",
        r"\bpemilik akun\b": "pemegang akun",
        r"\b[Bb]idang (?!usaha)": "kolom",
        r"\bjilid\b": "volume",
        r"\b[Pp]erlindungan\b": "pelindungan, as in the law",
        r"\b([Kk]amu|[Kk]au|-mu)\b": "Anda",
    },
}
"""One term has one word: by language the words that stand for a term beside its own, and that word."""


@pytest.mark.requirement("R23")
@pytest.mark.parametrize(("language", "domain"), TRANSLATIONS)
def test_every_sentence_is_translated(language: str, domain: str) -> None:
    """Each code of the source, none empty, changed since or left in English, with the same placeholders and names."""
    assert sources(domain)
    assert translation_faults(language, domain) == []


@pytest.mark.requirement("R23")
@pytest.mark.parametrize(("language", "domain"), TRANSLATIONS)
def test_a_term_has_one_word(language: str, domain: str) -> None:
    """A reader of a page, a mail and an archive reads the same word for the same thing, and the name of the law."""
    texts = {str(message.id): str(message.string) for message in written(language, domain) if message.id}
    found = {
        f"{code}: {other[0]!r} for {word}"
        for code, text in texts.items()
        for pattern, word in TERMS.get(language, {}).items()
        if (other := re.search(pattern, text))
    }
    assert found == set()


@pytest.mark.parametrize(("language", "domain"), FILES)
def test_a_file_is_as_the_tool_writes_it(language: str, domain: str) -> None:
    """`make locale` writes it anew."""
    assert path(language, domain).read_text() == in_step(language, domain, sources(domain))


def test_every_sentence_has_a_source() -> None:
    """Nor is any sentence of the source empty."""
    assert [f"{domain}.{code}" for domain in domains() for code, text in sources(domain).items() if not text] == []


def test_no_code_names_a_language() -> None:
    """A language is a folder: no list of languages, no branch for one, in Python, scripts, templates or tables."""
    words = {word for language in locale.languages()[1:] for word in (language, locale.own_name(language))}
    quoted = re.compile("|".join(f"[\"']{re.escape(word)}[\"']" for word in words - {"id"}))  # `id` is a column, too
    product = [file for room in repository.PACKAGES for file in repository.files(below=repository.ROOT / room)]

    assert len(product) > 300
    assert [file for file in product if file.suffix in CODE and quoted.search(file.read_text())] == []
