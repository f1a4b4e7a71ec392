"""vCard 4.0 (RFC 6350): the contacts of a volume as one file, for an address book (docs/forms.md).

A dataset is one of contacts if it has `full_name`, and `email` or `phone`. The others of its fields that a card has are
`company_name`, `job_title`, `address`, `born_on`, `language` and `tags`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date

from formats.content_lines import LinesWriter, Make, escaped, utc
from formats.known_texts import Losses, left, texts
from portability.api import Dataset, FormatWriter, Record, Sink, Unit

NAME = "contacts.vcf"
_NUMBER = re.compile(r"\+[0-9]{4,15}")
_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")


class Vcard:
    """The form `vcard`."""

    unit = Unit.VOLUME

    @property
    def suffix(self) -> str:
        return ".vcf"

    @property
    def media_type(self) -> str:
        return "text/vcard"

    def open(self, out: Sink) -> FormatWriter:
        """Begin a file of cards; without a contact it has no file."""
        return LinesWriter(out, NAME, _knows, (), ())


def _knows(dataset: Dataset) -> Make | None:
    names = {field.name for field in dataset.fields}
    return _card if "full_name" in names and names & {"email", "phone"} else None


def _card(record: Record, identifier: str, losses: Losses) -> Iterator[str]:
    found = {name: texts(record, name, losses) for name in (*_LINES, "tags")}
    found["full_name"] = found["full_name"] or [*found["email"], *found["phone"]][:1]
    if not found["full_name"]:
        losses["rows_cut"] += any(found.values())
        return
    yield from ("BEGIN:VCARD", "VERSION:4.0", f"UID:{identifier}")
    for name, written in _LINES.items():
        lines = list(map(written, found[name]))
        left(losses, lines.count(""))
        yield from filter(None, lines)
    if found["tags"]:
        yield f"CATEGORIES:{','.join(map(escaped, found['tags']))}"
    if revised := utc(record.get("updated_at")) or utc(record.get("created_at")):
        yield f"REV:{revised}"
    yield "END:VCARD"


def _phone(text: str) -> str:
    return f"TEL;VALUE=uri:tel:{text}" if _NUMBER.fullmatch(text) else f"TEL;VALUE=text:{escaped(text)}"


def _birthday(text: str) -> str:
    """Return a date or a time as such, and anything else, such as 0000-00-00, as a text (RFC 6350 section 6.2.5)."""
    try:
        return f"BDAY:{date.fromisoformat(text).isoformat().replace('-', '')}"
    except ValueError:
        moment = utc(text)
    return f"BDAY:{moment}" if moment else f"BDAY;VALUE=text:{escaped(text)}"


def _language(text: str) -> str:
    """Return a tag, which a system may write as `en_US`; empty for anything else, such as the name of a language."""
    tag = text.replace("_", "-")
    return f"LANG:{tag}" if _TAG.fullmatch(tag) else ""


_LINES: Mapping[str, Callable[[str], str]] = {
    "full_name": lambda text: f"FN:{escaped(text)}",
    "email": lambda text: f"EMAIL:{escaped(text)}",
    "phone": _phone,
    "company_name": lambda text: f"ORG:{escaped(text, ';')}",
    "job_title": lambda text: f"TITLE:{escaped(text)}",
    "address": lambda text: f"ADR:;;{escaped(text, ';')};;;;",
    "born_on": _birthday,
    "language": _language,
}
"""How a text of a field stands in a card; empty if it has no place there."""
format = Vcard()  # noqa: A001  # the name in the entry point and the plug-in guide
