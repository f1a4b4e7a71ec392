from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portability import locale
from portability.locale.isolation import closed, isolated
from portability.messages import letters
from portability.messages.outbox import MessageKind
from web import words

FORMATTING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NAMES = st.text(st.sampled_from([*FORMATTING, *"ab 1(\nשم\u200d👩\u0301"]))
HOSTILE = "Evil\u202e\r\n\r\nBcc: x <b>\u2067נמר"


@given(NAMES)
def test_no_direction_is_left_open(name: str) -> None:
    """Whatever opens in a name ends in it, nothing that is open before it ends in it, and all letters stay."""
    shown = closed(name)
    depth = 0
    for character in shown:
        assert unicodedata.bidirectional(character) not in {"LRE", "RLE", "LRO", "RLO", "PDF"}
        depth += (character in "\u2066\u2067\u2068") - (character == "\u2069")
        assert depth >= 0
    assert depth == 0
    assert [each for each in shown if each not in FORMATTING] == [each for each in name if each not in FORMATTING]
    assert closed(shown) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Other Care", "Other Care"),
        ("Zoë 👩\u200d👩\u200d👧 e\u0301 \u200f", "\u2068Zoë 👩\u200d👩\u200d👧 e\u0301 \u200f\u2069"),
        ("נמר (12)", "\u2068נמר (12)\u2069"),
        ("شركة", "\u2068شركة\u2069"),
        ("\u202egnp.exe\u202c", "gnp.exe"),
        ("A \r\n\u2029 B", "A B"),
    ],
)
def test_a_name_in_a_sentence_is_kept_apart(name: str, shown: str) -> None:
    """In one line; joiners, marks and letters stay; only names from right to left get an isolate."""
    assert isolated(name) == shown


def test_a_name_in_a_mail_makes_no_paragraph() -> None:
    """Nor a line, a tag or another direction: the rest of the letter reads as without it."""
    facts = {"id": "con_1", "recipient": HOSTILE, "at": "today"}
    letter = letters.write(MessageKind.TRANSFERRED, locale.SOURCE, facts, url=None, contact=HOSTILE)
    usual = letters.write(MessageKind.TRANSFERRED, locale.SOURCE, {**facts, "recipient": "X"}, url=None, contact="X")
    for text in (letter.text, letter.html, letter.subject):
        assert "\u202e" not in text
        assert text.count("\u2068") == text.count("\u2069") - text.count("\u2067")
    assert letter.text.count("\n\n") == usual.text.count("\n\n")
    assert "<b>" not in letter.html
    assert letter.subject == usual.subject


@pytest.mark.parametrize("family", ["given", "pull_title"])
def test_a_name_on_a_page_is_kept_apart_in_its_sentence(family: str) -> None:
    """Pages and mails fill their sentences in by the same function."""
    sentence = words.sentence("en", family, provider="נמר", domain="other.example")
    assert "\u2068נמר\u2069" in sentence
    assert "\u2068נמר\u2069" in words.label("en", "pull", "title", provider="נמר")


def test_a_name_in_a_mail_stays_in_one_line() -> None:
    """The end of a line ends an isolate (UAX 9, BD9): the next line would begin from the right."""
    name = "מרכז טיפול " * 9 + "\u2067שם א\u2069 ב"
    facts = {"id": "con_1", "recipient": name, "at": "today"}
    letter = letters.write(MessageKind.TRANSFERRED, locale.SOURCE, facts, url=None, contact=None)
    for line in letter.text.splitlines():
        assert line.count("\u2068") + line.count("\u2067") == line.count("\u2069")
        assert unicodedata.bidirectional(f"{line} "[0]) in {"L", "FSI", "WS"}


def test_the_name_of_the_service_in_an_sms_is_kept_apart() -> None:
    """The sentence after it begins on the left."""
    assert letters.short(MessageKind.READY, locale.SOURCE, "https://a.example", "נמר 12").text.startswith(
        "\u2068נמר 12\u2069: "
    )
