"""Letters: the text and the HTML of each mail from the catalogue `mail`, without names or other data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TypedDict

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from jinja2.filters import do_wordwrap

from portability import design, locale
from portability.brand import DARK, LIGHT
from portability.locale.isolation import isolated
from portability.messages.mail import Letter
from portability.messages.outbox import ABOUT_CONSENT, ABOUT_RECEIVED, MessageKind

FOLDER = Path(__file__).parent
PARAGRAPH_END = "\n\n"
LINE_CHARS = 72
NO_BREAK_SPACE = "\u00a0"
_ISOLATE = re.compile("\u2068(?:[^\u2066-\u2069]|[\u2066-\u2068][^\u2069]*\u2069)*\u2069")
ABOUT_NO_REQUEST = frozenset({*ABOUT_CONSENT, *ABOUT_RECEIVED, MessageKind.ADDRESS_CODE, MessageKind.REFERRED})
"""Their reference is not the number of a request of the recipient."""


class LetterLooks(TypedDict):
    """How a deployment presents itself in a letter: arguments of `write`."""

    contact: str | None
    brand: str | None
    colour: str
    dark_colour: str


def write(
    kind: MessageKind,
    language: str,
    facts: Mapping[str, str],
    *,
    answer: str | None = None,
    url: str | None,
    contact: str | None,
    brand: str | None = None,
    colour: str = LIGHT,
    dark_colour: str = DARK,
) -> Letter:
    """Write the letter of a kind.

    Args:
        kind: what the letter is about; its sentences have the codes `mail.<kind>.subject`, `.paragraphs` and `.action`.
            `.without_page` stands for `.paragraphs`, if there is one, where the letter has no button: who has no page
            is not sent to one.
        language: one of `locale.languages()`.
        facts: the values of the placeholders `id`, `due`, `until`, `code`, `minutes`: opaque ids and times only.
        answer: what a ready archive answers; a sentence `mail.<kind>.answers.<answer>` is added if there is one.
        url: the address that the button opens; None: the letter has no button.
        contact: the address for questions; None: the letter names no contact.
        brand: the name of the service, above the letter; None: no name.
        colour: the colour of the button, as `#rrggbb`.
        dark_colour: the same on dark screens.

    Raises: UnknownText.
    """
    subject = locale.text(language, f"mail.{kind}.subject")
    action = locale.find(language, f"mail.{kind}.action")
    reference = "other_reference" if kind in ABOUT_NO_REQUEST else "reference"
    shown = {
        "language": language,
        "subject": subject,
        "greeting": locale.text(language, "mail.greeting"),
        "paragraphs": _paragraphs(kind, language, facts, answer, has_page=bool(url)),
        "action": action,
        "url": url if action else None,
        "reference": locale.text(language, f"mail.{reference}", **facts),
        "questions": contact and locale.text(language, "mail.questions", contact=contact),
        "automatic": locale.text(language, "mail.automatic"),
        "code": facts.get("code"),
        "brand": brand,
        "light": {**design.LIGHT, "accent": colour},
        "dark": {**design.DARK, "accent": dark_colour},
    }
    text, html = (_templates().get_template(f"letter.{suffix}").render(shown) for suffix in ("txt", "html"))
    return Letter(subject, text, html)


def _paragraphs(
    kind: MessageKind, language: str, facts: Mapping[str, str], answer: str | None, *, has_page: bool
) -> list[str]:
    """Return what the letter says, as paragraphs: to a person without a page in other words, where there are any."""
    without_page = f"mail.{kind}.without_page"
    name = without_page if not has_page and locale.find(language, without_page) else f"mail.{kind}.paragraphs"
    paragraphs = locale.text(language, name, **facts).split(PARAGRAPH_END)
    if answer and (note := locale.find(language, f"mail.{kind}.answers.{answer}")):
        paragraphs.insert(1, note)
    return paragraphs


def code_by_sms(language: str, facts: Mapping[str, str], brand: str | None) -> Letter:
    """Write the SMS with a code that proves a number. Raises UnknownText."""
    return _short(locale.text(language, "mail.address_code.sms", **facts), brand)


def short(kind: MessageKind, language: str, url: str, brand: str | None) -> Letter:
    """Write an SMS: what a letter of the kind reports, and where to read more. Raises UnknownText."""
    return _short(f"{locale.text(language, f'mail.{kind}.subject')}: {url}", brand)


def _short(text: str, brand: str | None) -> Letter:
    return Letter("", f"{isolated(brand)}: {text}" if brand else text, "")


def _wrapped(text: str) -> str:
    """Break a paragraph into lines. A name that is kept apart stays in one: its isolate would end with the line."""
    whole = _ISOLATE.sub(lambda found: found[0].replace(" ", NO_BREAK_SPACE), text)
    return do_wordwrap(_templates(), whole, LINE_CHARS, break_long_words=False, break_on_hyphens=False)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["wrapped"] = _wrapped
    environment.globals |= {"px": design.pixels, "sans": design.TYPE["sans"].replace('"', "'")}
    return environment
