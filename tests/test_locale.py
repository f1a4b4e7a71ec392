"""Every language has every sentence, and its files are as `make locale` writes them."""

from __future__ import annotations

import re

import pytest
import repository
from catalogue_faults import translation_faults
from catalogues import IN_CODE, domains, in_step, path, sources

from portability import locale

CODE = {".py", ".js", ".html", ".txt", ".css", ".json", ".toml"}
FILES = [
    pytest.param(language, domain, id=f"{language}/{domain}")
    for language in locale.languages()
    for domain in domains()
    if language != locale.SOURCE or domain not in IN_CODE
]
TRANSLATIONS = [file for file in FILES if file.values[0] != locale.SOURCE]


@pytest.mark.requirement("R23")
@pytest.mark.parametrize(("language", "domain"), TRANSLATIONS)
def test_every_sentence_is_translated(language: str, domain: str) -> None:
    """Each code of the source, none empty, changed since or left in English, with the same placeholders and names."""
    assert sources(domain)
    assert translation_faults(language, domain) == []


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
