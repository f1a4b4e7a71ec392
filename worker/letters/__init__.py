"""Letters: the words of each mail, in English and Indonesian, as text and as HTML. No name and nothing of the data."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from portability.mail import Letter
from portability.notify import Kind

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "id")


def language(tag: str | None) -> str:
    """The language of ours that a tag of BCP 47 means best."""
    primary = (tag or "").replace("_", "-").partition("-")[0].lower()
    # `in` is what Java called Indonesian for long.
    return "id" if primary in {"id", "in"} else "en"


def date(moment: datetime, language: str) -> str:
    """A time as people read it, with its zone: `28 November 2026, 14:30 UTC`."""
    moment = moment.astimezone(UTC)
    return f"{moment.day} {_words(language)['months'][moment.month - 1]} {moment.year}, {moment:%H:%M} UTC"


def write(kind: Kind, language: str, facts: Mapping[str, str], *, url: str | None, contact: str | None) -> Letter:
    """The letter of a kind.

    Args:
        kind: what it tells.
        language: one of LANGUAGES.
        facts: what stands in its braces: `id`, `due`, `until`, `code`, `minutes`; opaque ids and times, nothing else.
        url: where its button leads; None: it has none.
        contact: whom the reader may ask; None: nobody is named.
    """
    words = _words(language)
    mine = words[kind]
    said: dict[str, Any] = {
        "language": language,
        "subject": mine["subject"],
        "greeting": words["greeting"],
        "paragraphs": [paragraph.format_map(facts) for paragraph in mine["paragraphs"]],
        "action": mine.get("action"),
        "url": url if "action" in mine else None,
        "reference": words["reference"].format_map(facts),
        "questions": contact and words["questions"].format(contact=contact),
        "automatic": words["automatic"],
        "code": facts.get("code"),
    }
    text, html = (_templates().get_template(f"letter.{suffix}").render(said) for suffix in ("txt", "html"))
    return Letter(mine["subject"], text, html)


@cache
def _words(language: str) -> Mapping[str, Any]:
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=select_autoescape(["html"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
