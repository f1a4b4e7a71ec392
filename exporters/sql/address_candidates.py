"""Candidates in the database for an address or a key: conditions that lose nothing, and that Python decides after."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import ColumnElement

from exporters.sql.columns import folded
from exporters.sql.identifiers import written
from portability.people.addresses import EMAIL
from portability.people.folding import fold

_LAST_DIGITS = 7
"""Digits of a number by which candidates are searched."""
_PLAIN = re.compile(r"[A-Za-z0-9]+")
"""What every program writes into JSON as it is."""


def may_contain(column: ColumnElement[Any], kind: str, address: str) -> ColumnElement[bool]:
    """Return a condition for all texts that may contain the address in some notation, and a few others."""
    if kind == EMAIL:
        mailbox, _, _ = address.strip().rpartition("@")
        return folded(column).contains(fold(mailbox) if mailbox.isascii() else "@", autoescape=True)
    digits = [letter for letter in address if letter.isascii() and letter.isdigit()]
    # The last digits in their order, with anything between them: every notation has these.
    return written(column).like("%" + "%".join(digits[-_LAST_DIGITS:]) + "%")


def member_may_have(text: ColumnElement[str], kind: str, address: str) -> ColumnElement[bool]:
    """Return a condition for all JSON texts that may contain the address in some notation, and a few others."""
    mailbox, _, _ = address.strip().rpartition("@")
    if kind == EMAIL and mailbox.isascii():
        return member_may_be(folded(text), fold(mailbox))
    return may_contain(text, kind, address)


def member_may_be(text: ColumnElement[str], word: str) -> ColumnElement[bool]:
    r"""Return a condition for all JSON texts that may contain a word, and a few others.

    JSON may write each letter in another form (RFC 8259 section 7), and many programs do so for all but ASCII letters
    and digits: PHP writes `\/` and .NET `\u002B`.
    """
    return text.like("%".join(["", *_PLAIN.findall(word), ""]))
