from __future__ import annotations

import pytest

from portability.locale import UnknownText
from web import words


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("id-ID,id;q=0.9", "id"),
        ("en;q=0.1, id;q=0.8", "id"),
        ("id;q=0.5,en", "en"),
        ("fr, *;q=0.5", "en"),
        ("fr;q=1.0, in;q=0.2", "id"),
        ("id;q=0, en", "en"),
        ("id;q=0", "en"),
        ("ID", "id"),
        ("id;q=2, en", "en"),
        ("id;level=1;q=1", "en"),
        (";;,,=", "en"),
        ("", "en"),
    ],
)
def test_the_preferred_language_has_the_greatest_weight(header: str, language: str) -> None:
    """By the weights of RFC 9110; what is malformed, refused with weight 0 or unknown does not count."""
    assert words.preferred(header) == language


def test_a_name_without_a_sentence_stands_for_itself() -> None:
    """A plug-in's format or a new event is shown as words; a sentence that is missing is a fault."""
    assert words.label("en", "event", "loyalty_granted") == "loyalty granted"
    assert words.label("en", "role", "tenant_admin", tenant="ten_1") == "administrator of ten_1"
    with pytest.raises(UnknownText, match=r"pages\.never"):
        words.sentence("en", "never")


def test_a_source_is_shown_by_its_title() -> None:
    """In the language of the page, else as it was written; a source without title, or that has gone, as words."""
    titles = {"calls": {"en": "Phone calls", "id": "Panggilan telepon"}, "crm": {"en": "Our customers"}}
    assert words.source_title(titles, "en", "calls") == "Phone calls"
    assert words.source_title(titles, "id", "calls") == "Panggilan telepon"
    assert words.source_title(titles, "id", "crm") == "Our customers"
    assert words.source_title(titles, "en", "loyalty_points") == "Loyalty points"
