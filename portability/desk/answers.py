"""Texts for usual answers, from the notice register, with what is filled in: the person who sends a text has read it.

A text is in the language of its reader. A placeholder is one of a fixed list, against which the register is checked.
What stands for it is never a text that a person has typed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from portability import locale
from portability.api.errors import BadInput
from portability.law.deadlines import BusinessCalendar
from portability.law.notice import AnswerUse, Register
from portability.locale import values

MOMENT = timedelta.resolution


class UnknownAnswer(BadInput):
    """The name of a text that the notice register does not have."""

    code = "unknown_answer"
    default_hint = "`[answers]` of the notice register has the texts: docs/notice.md"


@dataclass(frozen=True, slots=True)
class ReadyText:
    """A text as a person may send it."""

    name: str
    title: str
    """For the person who chooses it, in their language."""
    text: str
    basis: str
    """The ground of a refusal."""
    language: str
    """Of the text."""


def reader_language(export: Mapping[Any, Any], otherwise: str) -> str:
    """Return the language in which the person of a request reads, as far as it is known, else another."""
    return export["language"] if export["language"] in locale.languages() else otherwise


def offered(register: Register, use: AnswerUse, language: str) -> Mapping[str, str]:
    """Return the titles of the texts for a use, by name, in the language of the person who chooses."""
    return {name: one.title.read(language) for name, one in register.answers.items() if one.use is use}


def filled(
    register: Register,
    name: str,
    export: Mapping[Any, Any],
    language: str,
    *,
    contact: str | None,
    place: BusinessCalendar,
) -> ReadyText:
    """Return a text about a request, with its placeholders filled in.

    Args:
        register: the notice register of the deployment.
        name: of the text.
        export: the request's row.
        language: one of `locale.languages()`, which the reader understands.
        contact: of the deployment; None: that of the controller in the register.
        place: whose days are written.

    Raises: UnknownAnswer.
    """
    known = register.answers.get(name)
    if known is None:
        raise UnknownAnswer("there is no such text for an answer")
    # A due date is the first moment that is too late: its day is the one before.
    received_at, due_at = (at.astimezone(place.zone) for at in (export["received_at"], export["due_at"] - MOMENT))
    found = {
        "contact": contact or register.controller.contact,
        "controller": register.controller.name.read(language),
        "due_at": values.date(language, due_at),
        "received_at": values.date(language, received_at),
        "reference": export["id"],
    }
    text = re.sub(r"\{(\w+)\}", lambda match: found[match[1]], known.text.read(language))
    return ReadyText(name, known.title.read(language), text, known.basis, language)
