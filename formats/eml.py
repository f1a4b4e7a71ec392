"""EML (RFC 5322): inquiries and their replies as messages, one file each, for a mail program (docs/forms.md).

A dataset is one of inquiries if it has `subject`, `message` and `email`, and one of replies if it has `inquiry_id`,
`body` and `author`. The messages are made of records, which lack the original's headers: `X-Rebuilt-From` says so.

Headers are written here: Python's own writer loses spaces between the encoded words of a long text, and encodes parts
of addresses.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode, encodebytes
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.utils import format_datetime
from typing import TypeAlias

from formats.known_texts import Losses, first_text
from formats.values import visible_sign, whole_characters
from portability.api import JSON, Dataset, FormatWriter, Record, RecordChecker, Sink, Unit

FOLDER = "mail"
FILES_MAX = 5_000
"""Messages of a volume; the tables have all."""
DOMAIN = "portability.invalid"
"""A domain that cannot exist (RFC 2606), for what a record does not say."""
YEAR_MIN = 1900
"""The first year of a date of a message (RFC 5322 section 3.3)."""
UNKNOWN = datetime.fromisoformat("1970-01-01T00:00:00Z")
"""A message needs a date: that of a record without one."""
WORD_BYTES = 39
"""Bytes of a text in an encoded word, which has at most 75 characters, on a line of at most 76 (RFC 2047 section 2)."""
PLAIN_CHARS = 60
"""A longer text is encoded, so that its lines can be folded without a change."""
ADDRESS_CHARS = 320
_TEXT = re.compile(r"[!-~]+( [!-~]+)*")
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
"""The words of a name that need no quotes (RFC 5322 section 3.2.3)."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
"""What no header may have, also not inside its encoded words: programs would take a line end for that of the header."""
_LINE_END = re.compile(r"\r\n|\r|\n")
_BODY = (
    ("To", "undisclosed-recipients:;"),
    ("MIME-Version", "1.0"),
    ("Content-Type", 'text/plain; charset="utf-8"'),
    ("Content-Transfer-Encoding", "base64"),
)
_Head: TypeAlias = Mapping[str, str]
_Make: TypeAlias = Callable[[Record, str, Losses], tuple[_Head, str]]
"""Makes the headers and the text of a record, also from the exporter's name; counts the values that it leaves out."""


class Eml:
    """The form `eml`."""

    unit = Unit.RECORD

    @property
    def suffix(self) -> str:
        return ".eml"

    @property
    def media_type(self) -> str:
        return "message/rfc822"

    def open(self, out: Sink) -> FormatWriter:
        """Begin the messages of a volume."""
        return EmlWriter(out)


class EmlWriter:
    """Writes one file for each inquiry and each reply."""

    held = 0

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._make: _Make | None = None
        self._files = 0
        self._losses: Losses = Counter()

    def begin(self, exporter: str, dataset: Dataset) -> None:
        self._checker, self._dataset = RecordChecker(dataset), dataset
        self._exporter, self._of = exporter, f"{exporter}/{dataset.name}"
        self._names = [field.name for field in dataset.fields]
        self._make = None
        if {"subject", "message", "email"} <= set(self._names):
            self._make = _inquiry
        elif {"inquiry_id", "body", "author"} <= set(self._names):
            self._make = _reply

    def write(self, records: Sequence[Record]) -> None:
        if not self._make:
            return
        for values in zip(*self._checker.columns(records), strict=True):
            if self._files == FILES_MAX:
                self._losses["rows_cut"] += 1
                continue
            self._files += 1
            record = dict(zip(self._names, values, strict=True))
            key = "-".join(str(record.get(name)) for name in self._dataset.key)
            head, text = self._make(record, self._exporter, self._losses)
            self._out.begin(f"{FOLDER}/{self._of}/{key}.eml")
            self._out.write(_written({**head, "X-Rebuilt-From": self._of}, text))

    def close(self) -> Mapping[str, int]:
        return dict(self._losses)

    def abort(self) -> None:
        self._make = None


def _inquiry(record: Record, exporter: str, losses: Losses) -> tuple[_Head, str]:
    return {
        "Date": _date(record.get("created_at")),
        "From": _sender(_one_line(record, "name", losses), _one_line(record, "email", losses)),
        "Subject": _encoded(_one_line(record, "subject", losses), _TEXT),
        "Message-ID": _identifier(exporter, "inquiry", record.get("id")),
    }, first_text(record, "message", losses)


def _reply(record: Record, exporter: str, losses: Losses) -> tuple[_Head, str]:
    answers = _identifier(exporter, "inquiry", record.get("inquiry_id"))
    return {
        "Date": _date(record.get("sent_at") or record.get("created_at")),
        "From": _sender(_one_line(record, "author", losses), ""),
        "Message-ID": _identifier(exporter, "reply", record.get("id")),
        "In-Reply-To": answers,
        "References": answers,
    }, first_text(record, "body", losses)


def _written(head: _Head, text: str) -> bytes:
    """Return a message with a text, whose lines end with CRLF as those of each text in a message (RFC 2046)."""
    lines = [*head.items(), *_BODY]
    body = encodebytes(_LINE_END.sub("\r\n", text).encode()).replace(b"\n", b"\r\n")
    written = "".join(f"{name}: {value}\r\n" for name, value in lines)
    return f"{written}\r\n".encode() + body


def _date(value: JSON) -> str:
    """Return a time in UTC: a zone of a message has no seconds, which those of before 1912 have."""
    try:
        sent = datetime.fromisoformat(str(value))
        known = sent.astimezone(UTC) if sent.tzinfo else sent
    except (ValueError, OverflowError):
        known = UNKNOWN
    return format_datetime(known if known.year >= YEAR_MIN else UNKNOWN)


def _sender(name: str, address: str) -> str:
    """Return a name with an address; one that a message cannot have is a part of the name, so that it is not lost."""
    if not _is_address(address):
        name, address = " ".join(filter(None, (name, address))), f"unknown@{DOMAIN}"
    return f"{_encoded(name, _PHRASE)}\r\n <{address}>" if name else f"<{address}>"


def _is_address(text: str) -> bool:
    """Return whether programs read a text back as the same address: a comment, such as `(c)a@b.test`, is lost."""
    if not (text.isascii() and text.isprintable() and len(text) <= ADDRESS_CHARS):
        return False
    try:
        return Address(addr_spec=text).addr_spec == text
    except Exception:  # noqa: BLE001  # the parser raises many types for an invalid address
        return False


def _identifier(exporter: str, kind: str, identifier: JSON) -> str:
    """Return the same Message-ID in every export; an inquiry and a reply with one id, such as 1, differ."""
    named = f"{exporter}/{kind}/{identifier}"
    return f"<{hashlib.sha256(named.encode()).hexdigest()[:32]}@{DOMAIN}>"


def _one_line(record: Record, name: str, losses: Losses) -> str:
    text, replaced = _CONTROLS.subn(visible_sign, first_text(record, name, losses))
    if replaced:
        losses["controls_replaced"] += 1
    return text


def _encoded(text: str, plain: re.Pattern[str]) -> str:
    """Return a text as it is in a header: words of RFC 2047, between which no space counts, unless it is plain."""
    if not text or (len(text) <= PLAIN_CHARS and plain.fullmatch(text) and "=?" not in text):
        return text
    words = (b64encode(part).decode() for part in whole_characters(text.encode(), WORD_BYTES, WORD_BYTES))
    return "\r\n ".join(f"=?utf-8?B?{word}?=" for word in words)


format = Eml()  # noqa: A001  # the name in the entry point and the plug-in guide
