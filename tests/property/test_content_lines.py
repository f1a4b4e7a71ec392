"""Contacts and meetings of any texts, as vobject and icalendar read them."""

from __future__ import annotations

import icalendar
import vobject
from hypothesis import example, given
from hypothesis import strategies as st
from record_strategies import TEXTS

from formats import icalendar as calendar_form
from formats import vcard
from portability.api import JSON, Dataset, Field, FieldType, Provenance, Role
from portability.testing.forms import written_files

SIGNS = {number: 0x2400 + number for number in range(32)} | {0x7F: 0x2421}
KEPT = {number: number for number in (0x09, 0x0A)}
TRAPS = TEXTS | st.text('\\;,:\n\r\t "^=\u2028\x85\x7f\0é\U0001f600\ufffeNn', max_size=200)


def _described(name: str, **kinds: FieldType) -> Dataset:
    fields = tuple(Field(field, kind, "A field.", Provenance.PROVIDED) for field, kind in kinds.items())
    return Dataset(name, name, name, fields, Provenance.PROVIDED, Role.CONTROLLER, ("id",))


TEXT, JSON_VALUE = FieldType.STRING, FieldType.OBJECT
CONTACTS = _described(
    "contacts", id=TEXT, full_name=TEXT, email=TEXT, company_name=TEXT, address=TEXT, born_on=TEXT, tags=JSON_VALUE
)
MEETINGS = _described("meetings", id=TEXT, starts_at=FieldType.DATETIME, subject=TEXT, body=TEXT)


def _shown(text: str) -> str:
    """A text as a value has it: lines end with LF, and control characters are signs."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(SIGNS | KEPT)


@given(name=TRAPS, email=TRAPS, company=TRAPS, address=TRAPS, born=TRAPS, tags=st.lists(TRAPS.filter(str.strip)))
@example(name="a\r\nEND:VCARD", email="", company="\\n;", address="é" * 100, born="0000-00-00", tags=["a,b", "\\"])
def test_vobject_finds_every_text(
    name: str, email: str, company: str, address: str, born: str, tags: list[str]
) -> None:
    """Whatever it contains, and no property more; another birthday than a date is a text."""
    values: dict[str, JSON] = {"full_name": f"Ann {name}", "email": email, "company_name": company, "tags": tags}
    record = {"id": "1", **values, "address": address, "born_on": f"about {born}"}
    body = written_files(vcard.format, [(CONTACTS, [[record]])])["contacts.vcf"].decode()
    (card,) = vobject.readComponents(body)

    assert card.fn.value == _shown(f"Ann {name}")
    assert card.bday.value == _shown(f"about {born}")
    assert card.bday.params["VALUE"] == ["text"]
    there = card.contents
    assert [one.value for one in there.get("email", [])] == ([_shown(email)] if email.strip() else [])
    assert [one.value for one in there.get("org", [])] == ([[_shown(company)]] if company.strip() else [])
    assert [one.value.street for one in there.get("adr", [])] == ([_shown(address)] if address.strip() else [])
    assert [one.value for one in there.get("categories", [])] == ([list(map(_shown, tags))] if tags else [])
    assert set(there) <= {"version", "uid", "fn", "email", "org", "adr", "bday", "categories"}
    assert max(len(line.encode()) for line in body.split("\r\n")) <= 75


@given(subject=TRAPS, text=TRAPS)
@example(subject="a\r\nEND:VEVENT\r\nBEGIN:VALARM", text="\\N\\,\\;")
def test_icalendar_finds_every_text(subject: str, text: str) -> None:
    """Whatever it contains, and no property more."""
    record = {"id": "1", "starts_at": "2026-03-01T08:30:05.000000Z", "subject": subject, "body": text}
    body = written_files(calendar_form.format, [(MEETINGS, [[record]])])["appointments.ics"]
    calendar = icalendar.Calendar.from_ical(body)
    (event,) = calendar.walk("VEVENT")

    assert calendar.errors == event.errors == []
    wanted = {"SUMMARY": subject, "DESCRIPTION": text}
    assert {name: str(event[name]) for name in wanted if name in event} == {
        name: _shown(value) for name, value in wanted.items() if value.strip()
    }
    assert set(event) <= {"UID", "DTSTAMP", "DTSTART", *wanted}
