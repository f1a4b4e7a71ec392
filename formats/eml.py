"""EML (RFC 5322): inquiries and their replies as messages, one file each, for a mail program (docs/forms.md).

A dataset is one of inquiries if it has `subject`, `message` and `email`, and one of replies if it has `inquiry_id`,
`body` and `author`. The messages are made of records, which lack the original's headers: `X-Rebuilt-From` says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import TypeAlias

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
_Fill: TypeAlias = Callable[[EmailMessage, Record, str], None]
"""Called with a message, its record, and the exporter's name."""


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
        self._fill: _Fill | None = None
        self._files = 0
        self._losses: Counter[str] = Counter()

    def begin(self, exporter: str, dataset: Dataset) -> None:
        self._checker, self._dataset = RecordChecker(dataset), dataset
        self._exporter, self._of = exporter, f"{exporter}/{dataset.name}"
        self._names = [field.name for field in dataset.fields]
        self._fill = None
        if {"subject", "message", "email"} <= set(self._names):
            self._fill = _inquiry
        elif {"inquiry_id", "body", "author"} <= set(self._names):
            self._fill = _reply

    def write(self, records: Sequence[Record]) -> None:
        if self._fill is None:
            return
        for values in zip(*self._checker.columns(records), strict=True):
            if self._files == FILES_MAX:
                self._losses["rows_cut"] += 1
                continue
            self._files += 1
            record = dict(zip(self._names, values, strict=True))
            key = "-".join(str(record.get(name)) for name in self._dataset.key)
            message = EmailMessage(policy=SMTP)
            self._fill(message, record, self._exporter)
            message["X-Rebuilt-From"] = self._of
            self._out.begin(f"{FOLDER}/{self._of}/{key}.eml")
            self._out.write(message.as_bytes())

    def close(self) -> Mapping[str, int]:
        return dict(self._losses)

    def abort(self) -> None:
        self._fill = None


def _inquiry(message: EmailMessage, record: Record, exporter: str) -> None:
    _head(message, record, "created_at")
    message["From"] = _address(record.get("name"), record.get("email"))
    message["Subject"] = _one_line(record.get("subject"))
    message["Message-ID"] = _identifier(exporter, "inquiry", record.get("id"))
    _body(message, record.get("message"))


def _reply(message: EmailMessage, record: Record, exporter: str) -> None:
    _head(message, record, "sent_at")
    message["From"] = _address(record.get("author"), None)
    message["Message-ID"] = _identifier(exporter, "reply", record.get("id"))
    message["In-Reply-To"] = message["References"] = _identifier(exporter, "inquiry", record.get("inquiry_id"))
    _body(message, record.get("body"))


def _head(message: EmailMessage, record: Record, time: str) -> None:
    try:
        sent = datetime.fromisoformat(str(record.get(time) or record.get("created_at")))
    except ValueError:
        sent = UNKNOWN
    message["Date"] = sent if sent.year >= YEAR_MIN else UNKNOWN
    message["To"] = "undisclosed-recipients:;"


def _body(message: EmailMessage, text: JSON) -> None:
    message.set_content(text if isinstance(text, str) else "", cte="base64")


def _address(name: JSON, address: JSON) -> Address:
    """Return an address with a name; that of a record that has no valid one cannot receive anything."""
    shown = _one_line(name)
    try:
        return Address(shown, addr_spec=str(address)) if isinstance(address, str) else Address(shown, "unknown", DOMAIN)
    except Exception:  # noqa: BLE001  # the parser raises many types for an invalid address
        return Address(shown, "unknown", DOMAIN)


def _identifier(exporter: str, kind: str, identifier: JSON) -> str:
    """Return the same Message-ID in every export; an inquiry and a reply with one id, such as 1, differ."""
    named = f"{exporter}/{kind}/{identifier}"
    return f"<{hashlib.sha256(named.encode()).hexdigest()[:32]}@{DOMAIN}>"


def _one_line(value: JSON) -> str:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return "".join(character for character in text if character.isprintable())


format = Eml()  # noqa: A001  # the name in the entry point and the plug-in guide
