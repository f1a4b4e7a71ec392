"""Messages of any texts, as Python's email reads them, which the form does not write with."""

from __future__ import annotations

import email
import re
from email.header import decode_header, make_header
from email.policy import compat32, default

from hypothesis import example, given
from hypothesis import strategies as st
from record_strategies import TEXTS

from formats import eml
from portability.api import Dataset, Field, FieldType, Provenance, Role
from portability.testing.forms import written_files

FIELDS = ("id", "subject", "message", "email", "name", "created_at")
INQUIRIES = Dataset(
    "inquiries",
    "Inquiries",
    "Inquiries.",
    tuple(Field(name, FieldType.STRING, "A text.", Provenance.PROVIDED) for name in FIELDS),
    Provenance.PROVIDED,
    Role.CONTROLLER,
    ("id",),
)
HEADERS = {
    *("Date", "From", "Subject", "Message-ID", "X-Rebuilt-From", "To"),
    *("MIME-Version", "Content-Type", "Content-Transfer-Encoding"),
}
LONGEST_LINE = 998
LONGEST_WORD = 75


def _message(**values: str) -> bytes:
    record = {"id": "1", "created_at": "2026-03-01T08:30:05Z", **values}
    return written_files(eml.format, [(INQUIRIES, [[record]])])["mail/exporter/inquiries/1.eml"]


def _line(text: str) -> str:
    """What a header has of a text: one line, with its blanks, and signs such as U+2400 for control characters."""
    signs = {number: 0x2400 + number for number in range(32)} | {0x7F: 0x2421}
    return text.translate(signs) if text.strip() else ""


@given(subject=TEXTS, name=TEXTS, address=TEXTS, message=TEXTS)
@example(subject="ä b" * 50, name="Ann", address="ann@münchen.test", message="")
@example(
    subject="\U0001f468\u200d\U0001f469 \U0001fae9",
    name="\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    address="a@b.test\r\nBcc: e@x.test",
    message="a\rb",
)
@example(subject="=?utf-8?q?hello?=", name="=?utf-8?q?hello?=", address="a" * 900 + "@b.test", message="\0")
@example(subject="x" * 2000, name="x" * 2000, address='"Ann" <ann@x.test>', message="x" * 2000)
def test_email_finds_every_text(subject: str, name: str, address: str, message: str) -> None:
    """Subject, name, address and text, with no header more, in lines and words as long as the RFCs allow."""
    body = _message(subject=subject, name=name, email=address, message=message)
    found, raw = email.message_from_bytes(body, policy=default), email.message_from_bytes(body, policy=compat32)

    assert set(found.keys()) == HEADERS
    assert len(found.keys()) == len(HEADERS)
    assert [*found.defects, *found["Subject"].defects, *found["From"].defects] == []
    assert str(found["Subject"]) == _line(subject)
    # Before 3.13 the new parser puts spaces between the words of a name.
    shown, _, sender = str(make_header(decode_header(raw["From"].replace("\r\n", "")))).rpartition("<")
    assert [shown.strip(), sender] in (
        [_line(name).strip(), f"{_line(address)}>"],
        [f"{_line(name)} {_line(address)}".strip(), "unknown@portability.invalid>"],
    )
    assert found.get_content() == (re.sub(r"\r\n|\r|\n", "\r\n", message) if message.strip() else "")
    assert max(map(len, body.split(b"\r\n"))) <= LONGEST_LINE
    assert max(map(len, re.findall(rb"=\?utf-8\?B\?[^?]*\?=", body)), default=0) <= LONGEST_WORD
    assert re.findall(rb"[^\r]\n|\r[^\n]", body) == []


@given(st.datetimes(timezones=st.timezones()) | st.just("2026-03-01T08:30:60Z"))
def test_a_date_is_in_utc(moment: object) -> None:
    """Times before 1912 have zones with seconds, which a message cannot have."""
    text = moment if isinstance(moment, str) else moment.isoformat()  # type: ignore[attr-defined]  # a datetime
    raw = email.message_from_bytes(_message(created_at=text), policy=compat32)["Date"]

    assert re.fullmatch(r"[A-Z][a-z]{2}, [0-3][0-9] [A-Z][a-z]{2} [0-9]{4} [0-2][0-9](:[0-5][0-9]){2} \+0000", raw)
