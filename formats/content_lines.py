"""Content lines: what vCard (RFC 6350) and iCalendar (RFC 5545) have in common, and the writer of both.

A line has at most 75 octets and ends with CRLF; a longer one goes on after CRLF and a space (RFC 5545 section 3.1).
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from formats.known_texts import Losses
from formats.values import visible_sign, whole_characters
from portability.api import JSON, Dataset, Record, RecordChecker, Sink

LINE_OCTETS = 75
Lines: TypeAlias = Iterable[str]
Make: TypeAlias = Callable[[Record, str, Losses], Lines]
"""Makes the lines of a record, whose permanent name is given, and counts the values that it leaves out.

It makes no lines if the record is of no kind that the form has."""
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What a value must not have (RFC 5545 section 3.1)."""


class NotWritable(Exception):
    """A record of the right kind that the form cannot have, with the code of the loss."""


class LinesWriter:
    """Writes one file of the datasets that a form knows; none if no record is of its kind."""

    held = 0

    def __init__(
        self, out: Sink, name: str, knows: Callable[[Dataset], Make | None], head: Sequence[str], foot: Sequence[str]
    ) -> None:
        self._out, self._name, self._knows, self._head, self._foot = out, name, knows, head, foot
        self._make: Make | None = None
        self._is_begun = False
        self._losses: Losses = Counter()

    def begin(self, exporter: str, dataset: Dataset) -> None:
        self._make = self._knows(dataset)
        self._checker = RecordChecker(dataset)
        self._names = [field.name for field in dataset.fields]
        self._of, self._key = f"{exporter}/{dataset.name}", dataset.key

    def write(self, records: Sequence[Record]) -> None:
        if not self._make:
            return
        for values in zip(*self._checker.columns(records), strict=True):
            record = dict(zip(self._names, values, strict=True))
            try:
                lines = list(self._make(record, self._uuid(record), self._losses))
            except NotWritable as reason:
                self._losses[str(reason)] += 1
                continue
            if lines:
                self._put(lines)

    def close(self) -> Mapping[str, int]:
        if self._is_begun:
            self._out.write(folded(self._foot))
        return {code: count for code, count in self._losses.items() if count}

    def abort(self) -> None:
        self._make = None

    def _put(self, lines: Lines) -> None:
        if not self._is_begun:
            self._out.begin(self._name)
            self._out.write(folded(self._head))
            self._is_begun = True
        self._out.write(folded(map(self._printable, lines)))

    def _printable(self, line: str) -> str:
        text, replaced = _CONTROLS.subn(visible_sign, line)
        if replaced:
            self._losses["controls_replaced"] += 1
        return text

    def _uuid(self, record: Record) -> str:
        """Return the same UUID for the same record in every export: a program then replaces its earlier copy."""
        named = (self._of, *(str(record.get(name)) for name in ("tenant_id", *self._key)))
        return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'portability:' + chr(0).join(named))}"


def folded(lines: Lines) -> bytes:
    """Return lines as they are written; no character is cut by a fold."""
    parts = (whole_characters(line.encode(), LINE_OCTETS, LINE_OCTETS - 1) for line in lines)
    return b"".join(b"\r\n ".join(line) + b"\r\n" for line in parts)


def escaped(text: str, more: str = "") -> str:
    """Return a text as a value; `more` are separators of its property."""
    text = text.replace("\\", "\\\\").replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n")
    for separator in f",{more}":
        text = text.replace(separator, f"\\{separator}")
    return text


def utc(value: JSON) -> str | None:
    """Return a time as `20260301T083005Z`; None for anything else than a time with its zone."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        known = None if moment is None or moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    # The C library of Linux writes a year before 1000 with fewer digits.
    return f"{known.year:04}{known:%m%dT%H%M%SZ}" if known else None
