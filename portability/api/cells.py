"""Texts as cells of CSV that a spreadsheet does not run as formulas (OWASP, CSV Injection).

A text that a spreadsheet could take for a formula gets a leading `'`. So does a text that begins with `'`, so that
every cell that begins with `'` has exactly one too many. Phone numbers such as `+62 812-3456` stay as they are: they
can run nothing, and programs need them (ADR 67).
"""

from __future__ import annotations

import re

# Spreadsheets skip blanks, controls and zero-width characters before they look for a formula.
_SKIPPED = r"\s\x00-\x20\x7f-\xa0\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"
_FORMULA = re.compile(rf"'|[{_SKIPPED}]*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001  # full-width characters begin formulas too
_NUMBER = re.compile(r"\+[0-9][0-9 ()-]{4,22}")
"""A phone number: no function, no reference to a cell and no command can be made of these characters."""
RISKY = re.compile(rf"['{_SKIPPED}=+\-@＝＋－＠]")  # noqa: RUF001  # as above
"""How a text that `defused` changes may begin."""


def defused(text: str) -> str:
    """Return a text as a cell has it between its quotes, whose own quotes are not yet doubled."""
    is_formula = not text[:1].isalnum() and _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text
