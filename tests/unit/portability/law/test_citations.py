"""Citations of laws are written as people who read the language write them."""

from __future__ import annotations

import pytest

from portability.law.citations import cite


@pytest.mark.requirement("R25")
@pytest.mark.parametrize(
    ("citation", "german", "indonesian"),
    [
        ("GDPR", "DSGVO", "GDPR"),
        (
            "GDPR Art. 15(1)(a)-(h), 15(2)",
            "DSGVO Art. 15 Abs. 1 Buchst. a bis h, 15 Abs. 2",
            "GDPR Pasal 15(1)(a)-(h), 15(2)",
        ),
        (
            "GDPR Art. 21(2)-(3); UU PDP Art. 9",
            "DSGVO Art. 21 Abs. 2 bis 3; UU PDP Art. 9",
            "GDPR Pasal 21(2)-(3); UU PDP Pasal 9",
        ),
        ("Art. 21(2)-(3)", "Art. 21 Abs. 2 bis 3", "Pasal 21(2)-(3)"),
        ("FADP Art. 25(2)(g)", "Schweizer DSG Art. 25 Abs. 2 Buchst. g", "FADP Pasal 25(2)(g)"),
        ("UK GDPR Art. 77", "UK GDPR Art. 77", "UK GDPR Pasal 77"),
        ("LGPD Art. 18 § 1", "LGPD Art. 18 § 1", "LGPD Pasal 18 § 1"),
    ],
)
def test_a_citation_is_written_as_the_language_does(citation: str, german: str, indonesian: str) -> None:
    """With the name of the law, the word for an article, and the signs of its paragraphs and letters."""
    assert [cite(citation, language) for language in ("en", "de", "id")] == [citation, german, indonesian]


@pytest.mark.parametrize("citation", ["1798.130(a)(3)", "45 CFR 164.522(a)", "s. 13(3), 27", "Our own rules (a)", ""])
def test_a_law_without_articles_is_cited_as_it_is(citation: str) -> None:
    """Sections of laws of other countries keep their own form."""
    assert {cite(citation, language) for language in ("en", "de", "id")} == {citation}
