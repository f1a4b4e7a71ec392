"""Words of the pages: sentences of the catalogue `pages`, and the language that a browser asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from portability import locale
from portability.api.errors import PortabilityError
from portability.law import omissions
from portability.locale import translations
from portability.requests import outcome
from portability.requests.outcome import ExportAnswer

WEIGHTED = re.compile(r"\s*([A-Za-z0-9-]{1,35})\s*(?:;\s*[qQ]\s*=\s*([01](?:\.\d{0,3})?))?\s*")
"""A language range of Accept-Language with its weight; `*` means any language, which is the source language."""


def sentence(language: str, name: str, /, **values: object) -> str:
    """Return the sentence `pages.<name>` with its placeholders filled in. Raises UnknownText."""
    return locale.text(language, f"pages.{name}", **values)


def label(language: str, family: str, name: str, /, **values: object) -> str:
    """Return the sentence `pages.<family>_<name>`, or the name as words if there is no sentence.

    For names that plug-ins and callers bring along (formats, events, channels): they break no page.
    """
    found = locale.find(language, f"pages.{family}_{name}")
    return name.replace("_", " ") if found is None else locale.filled(found, values)


def source_title(titles: Mapping[str, Mapping[str, str]], language: str, name: str, /) -> str:
    """Return what people call a source, by its titles in each language; without a title its name as words.

    A page may name a source that the deployment no longer has.
    """
    return translations.in_language(titles[name], language) if name in titles else translations.label(name)


def error(language: str, code: str) -> str:
    """Return the sentence for the code of an error or of a gap; a general one for a code of another package."""
    known = locale.find(language, f"errors.{code}") or omissions.explanation(code, language)
    return known or locale.text(language, f"errors.{PortabilityError.code}")


def answer(row: Mapping[Any, Any]) -> str:
    """Return the rest of the codes `state_ready` and `tell_ready` for an archive; empty for a complete one."""
    given = outcome.answer(row)
    return "" if given is ExportAnswer.COMPLETE else f"_{given}"


def preferred(accept_language: str) -> str:
    """Return the language that a header Accept-Language prefers, by its weights (RFC 9110, 12.5.4)."""
    ranges = [found for part in accept_language.split(",") if (found := WEIGHTED.fullmatch(part))]
    weighted = [(float(found[2] or 1), found[1]) for found in ranges]
    accepted = [(weight, tag) for weight, tag in weighted if weight > 0]
    return locale.nearest(tag for _weight, tag in sorted(accepted, key=lambda each: -each[0]))
