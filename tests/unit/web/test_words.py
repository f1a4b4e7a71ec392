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
    """A plug-in's exporter or a new event is shown as words; a sentence that is missing is a fault."""
    assert words.label("en", "part", "calls") == "Phone calls"
    assert words.label("id", "part", "calls") == "Panggilan telepon"
    assert words.label("en", "part", "loyalty_points") == "loyalty points"
    assert words.label("en", "role", "tenant_admin", tenant="ten_1") == "administrator of ten_1"
    with pytest.raises(UnknownText, match=r"pages\.never"):
        words.sentence("en", "never")
