"""vCard 4.0 (RFC 6350): the contacts of a volume as one file, for an address book (docs/forms.md).

A dataset is one of contacts if it has `full_name`, and `email` or `phone`. The others of its fields that a card has are
`company_name`, `job_title`, `address`, `born_on`, `language` and `tags`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from formats.content_lines import LinesWriter, Make, escaped, line, utc
from portability.api import JSON, Dataset, FormatWriter, Record, Sink, Unit

NAME = "contacts.vcf"
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
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


def _card(record: Record, identifier: str) -> Iterator[str]:
    name = next((value for key in ("full_name", "email", "phone") if _is_text(value := record.get(key))), None)
    if name is None:
        return
    yield from ("BEGIN:VCARD", "VERSION:4.0", f"UID:{identifier}")
    yield f"FN:{escaped(str(name))}"
    yield from line("EMAIL", record.get("email"))
    phone = record.get("phone")
    if isinstance(phone, str) and _NUMBER.fullmatch(phone):
        yield f"TEL;VALUE=uri:tel:{phone}"
    else:
        yield from line("TEL;VALUE=text", phone)
    if _is_text(company := record.get("company_name")):
        yield f"ORG:{escaped(str(company), ';')}"
    yield from line("TITLE", record.get("job_title"))
    if _is_text(address := record.get("address")):
        yield f"ADR:;;{escaped(str(address), ';')};;;;"
    if day := _DAY.fullmatch(str(record.get("born_on"))):
        yield f"BDAY:{''.join(day.groups())}"
    if (language := record.get("language")) and _TAG.fullmatch(str(language)):
        yield f"LANG:{language}"
    tags = record.get("tags")
    if isinstance(tags, list | tuple) and (words := [escaped(tag) for tag in tags if isinstance(tag, str) and tag]):
        yield f"CATEGORIES:{','.join(words)}"
    if revised := utc(record.get("updated_at")) or utc(record.get("created_at")):
        yield f"REV:{revised}"
    yield "END:VCARD"


def _is_text(value: JSON) -> bool:
    return isinstance(value, str) and bool(value.strip())


format = Vcard()  # noqa: A001  # the name in the entry point and the plug-in guide
