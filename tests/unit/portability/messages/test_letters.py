from __future__ import annotations

import re
from html import unescape
from string import Formatter

import pytest
from untranslated import left_in_source, texts_of

from portability import locale
from portability.messages import letters
from portability.messages.mail import Letter
from portability.messages.outbox import MessageKind
from portability.requests.transfer_ends import TransferEnd

FACTS = {
    "id": "abcd",
    "due": "D",
    "until": "U",
    "code": "1234 5678",
    "minutes": "10",
    "at": "A",
    "device": "V",
    "recipient": "R",
    "sender": "S",
}


SUBJECT_MAX = 78
"""Characters of a line (RFC 5322, 2.1.1); lists of mail cut longer subjects."""
ANSWERED_ON_A_PAGE = (MessageKind.DENIED, MessageKind.NOT_FOUND, MessageKind.LOG_IN, MessageKind.REFERRED)
"""Kinds that always have a page: that of a link and a code, or one after a login."""


def written(kind: MessageKind, language: str) -> Letter:
    url = "https://data.vlint.example/me?a=1&b=2"
    return letters.write(kind, language, FACTS, url=url, contact="privacy@vlint.example")


def braces(text: object) -> set[str]:
    return {name for _text, name, _format, _conversion in Formatter().parse(str(text)) if name}


def own(language: str, name: str) -> str:
    """Return the language's own sentence; empty where it has none and English would stand for it."""
    return locale.translated(language, f"mail.{name}", "")


@pytest.mark.parametrize("language", locale.languages())
def test_the_languages_say_the_same(language: str) -> None:
    """The same sentences, as many paragraphs, the same facts in each."""
    for name, english in locale.sentences(locale.SOURCE, "mail").items():
        paragraphs = zip(english.split("\n\n"), own(language, name).split("\n\n"), strict=True)
        assert own(language, name)
        assert all(braces(one) == braces(other) for one, other in paragraphs)


DUE = re.compile(r"[^.\n]*\{(?:due|date)\}[^.;\n]*")
PROMISES = re.compile(r"ready|fertig|bereit|siap", re.IGNORECASE)


@pytest.mark.parametrize("language", locale.languages())
def test_no_sentence_promises_a_copy_by_the_deadline(language: str) -> None:
    """The deadline is one for an answer, which may be a refusal or need the extension of the law."""
    names = ("mail.acknowledged.paragraphs", "mail.extended.paragraphs", "pages.ask_free", "pages.due_at")
    said = [found[0] for name in names[:-1] for found in DUE.finditer(locale.text(language, name))]
    said.append(locale.text(language, names[-1]))
    assert len(said) == len(names)
    assert [each for each in said if PROMISES.search(each)] == []


@pytest.mark.parametrize("kind", list(MessageKind))
def test_each_kind_has_its_sentences(kind: MessageKind) -> None:
    """A subject and paragraphs; a button where there is a page to go to."""
    sentences = {name for name in locale.section(locale.SOURCE, f"mail.{kind}") if not name.startswith("answers.")}
    more = {MessageKind.CODE: set(), MessageKind.ADDRESS_CODE: {"sms"}}.get(kind, {"action"})

    assert sentences - {"without_page"} == {"subject", "paragraphs"} | more


@pytest.mark.parametrize("language", locale.languages())
@pytest.mark.parametrize("answer", ["gaps", "nothing", "partly_referred", "referred"])
def test_a_ready_letter_says_what_the_archive_answers(language: str, answer: str) -> None:
    """That something is missing, or that there is nothing, is in the mail too."""
    letter = letters.write(MessageKind.READY, language, FACTS, answer=answer, url="https://x.example", contact=None)
    plain = letters.write(MessageKind.READY, language, FACTS, answer="complete", url="https://x.example", contact=None)
    sentence = locale.text(language, f"mail.ready.answers.{answer}")
    assert sentence in " ".join(letter.text.split())
    assert sentence not in " ".join(plain.text.split())


@pytest.mark.parametrize("language", locale.languages())
def test_letters_name_no_more_than_they_may(language: str) -> None:
    """A request's number, times, a code, whom to ask: nothing else can get into a mail (R45)."""
    named = {name: braces(sentence) for name, sentence in locale.sentences(language, "mail").items()}

    assert set().union(*named.values()) <= FACTS.keys() | {"contact"}
    assert [name for name, facts in named.items() if facts and name.endswith((".subject", ".action"))] == []


@pytest.mark.parametrize("language", locale.languages())
@pytest.mark.parametrize("kind", list(MessageKind))
def test_a_letter_is_whole_in_both_forms(kind: MessageKind, language: str) -> None:
    """Each sentence in the text and in the HTML, with the link quoted, and nothing left in braces."""
    letter = written(kind, language)
    text, html = (re.sub(r"\s+", " ", form) for form in (letter.text, letter.html))

    for paragraph in own(language, f"{kind}.paragraphs").split("\n\n"):
        assert paragraph.format_map(FACTS) in text
        assert paragraph.format_map(FACTS) in unescape(html)
    assert f'<html lang="{language}">' in html
    assert (
        language == locale.SOURCE or left_in_source([*texts_of(letter.html, language), letter.subject], language) == []
    )
    assert not braces(text)
    has_button = kind not in {MessageKind.CODE, MessageKind.ADDRESS_CODE}
    assert ("https://data.vlint.example/me?a=1&b=2" in text) == has_button
    assert ("https://data.vlint.example/me?a=1&amp;b=2" in html) == has_button
    assert max(map(len, letter.text.splitlines())) <= SUBJECT_MAX
    assert len(letter.subject) <= SUBJECT_MAX
    assert not re.search(r"<(img|script|link|iframe)", html)


ON_PAGES = re.compile(
    r"account page|page of your request|log in and|Kontoseite|Seite Ihres Antrags|melden Sie sich an"
    r"|halaman akun|halaman permintaan|masuk dan"
)


@pytest.mark.parametrize("language", locale.languages())
@pytest.mark.parametrize("kind", sorted({*MessageKind} - {*ANSWERED_ON_A_PAGE}))
def test_who_has_no_page_is_sent_to_none(kind: MessageKind, language: str) -> None:
    """A contact and a closed account have none: the letter without a button asks them to write."""
    letter = letters.write(kind, language, FACTS, url=None, contact="privacy@vlint.example")

    assert ON_PAGES.findall(" ".join(letter.text.split())) == []


@pytest.mark.parametrize("kind", list(MessageKind))
def test_only_a_request_has_a_request_number(kind: MessageKind) -> None:
    """The id of a consent, an import, a referral or a code is a reference."""
    is_request = kind not in letters.ABOUT_NO_REQUEST

    assert ("Your request number is abcd." in written(kind, "en").text) == is_request
    assert ("The reference number is abcd." in written(kind, "en").text) != is_request


def test_an_address_stays_whole_in_the_text() -> None:
    """A line is as long as its longest word: an address that is cut at the end of a line leads nowhere."""
    contact = f"https://example.org/{'privacy/' * 10}contact"
    letter = letters.write(MessageKind.CODE, "en", FACTS, url=None, contact=contact)

    assert contact in letter.text


@pytest.mark.parametrize("language", locale.languages())
def test_each_end_of_a_transfer_has_its_sentence(language: str) -> None:
    """In the second paragraph, between what happened and what else the person can do."""
    answers = {end: own(language, f"not_transferred.answers.{end}") for end in TransferEnd}
    assert len(set(answers.values())) == len(TransferEnd)
    for end, answer in answers.items():
        letter = letters.write(MessageKind.NOT_TRANSFERRED, language, FACTS, answer=end, url=None, contact=None)
        assert answer in " ".join(letter.text.split())
