"""vCard, iCalendar and EML as other programs read them: vobject, icalendar and Python's email."""

from __future__ import annotations

import email
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import default
from email.utils import parseaddr

import icalendar
import pytest
import vobject

from formats import eml
from formats.content_lines import folded
from formats.icalendar import format as calendar_form
from formats.vcard import format as vcard_form
from portability.api import JSON, Dataset, Field, FieldType, Provenance, Record, Role, WriterFormat
from portability.testing.forms import MemorySink, written_files

CONTACT: dict[str, JSON] = {
    "id": "con_1",
    "tenant_id": "ten_1",
    "full_name": "Müller, Ann; d\u2019Arc \U0001f600" + " von Hohenstein" * 8,
    "email": "ann@example.test",
    "phone": "+6281234567890",
    "company_name": "Ends; Ltd, Inc",
    "job_title": "Head\nof it",
    "address": "Jl. Sudirman 1, Jakarta",
    "born_on": "1990-02-03",
    "language": "id",
    "tags": ["vip", "a,b"],
    "updated_at": "2026-03-01T08:30:05.123456Z",
}


def known_by(name: str, fields: Sequence[str]) -> Dataset:
    types = {"tags": FieldType.OBJECT}
    declared = tuple(Field(f, types.get(f, FieldType.STRING), f"Its {f}.", Provenance.PROVIDED) for f in fields)
    return Dataset(name, name.title(), f"Made-up {name}.", declared, Provenance.PROVIDED, Role.CONTROLLER, ("id",))


def cards(*records: Record) -> bytes:
    return written_files(vcard_form, [(known_by("contacts", list(CONTACT)), [records])]).get("contacts.vcf", b"")


def test_vobject_reads_every_contact() -> None:
    """Commas, semicolons, line breaks and names of any length arrive as they were."""
    first, second = vobject.readComponents(cards(CONTACT, {**CONTACT, "id": "con_2"}).decode())
    assert first.version.value == "4.0"
    assert first.fn.value == CONTACT["full_name"]
    assert first.email.value == CONTACT["email"]
    assert first.tel.value == "tel:+6281234567890"
    assert first.org.value == ["Ends; Ltd, Inc"]
    assert first.title.value == "Head\nof it"
    assert first.adr.value.street == "Jl. Sudirman 1, Jakarta"
    assert (first.bday.value, first.rev.value) == ("19900203", "20260301T083005Z")
    assert first.categories.value == ["vip", "a,b"]
    assert first.uid.value.startswith("urn:uuid:")
    assert first.uid.value != second.uid.value


def test_a_card_is_the_same_in_every_export() -> None:
    """An address book then replaces its earlier copy of the contact."""
    assert cards(CONTACT) == cards(CONTACT)


def test_a_contact_without_name_has_its_address() -> None:
    """FN is obligatory; a record without name, address and number makes no card."""
    (card,) = vobject.readComponents(cards({"id": "1", "email": "ann@example.test", "phone": "0800 FLOWER"}).decode())
    assert (card.fn.value, card.tel.value) == ("ann@example.test", "0800 FLOWER")
    assert cards({"id": "1", "company_name": "Ends"}) == b""


def test_a_card_has_what_other_sources_call_by_its_names() -> None:
    """Lists of texts, numbers as digits, `en_US`, and birthdays that are times or no dates; the others are counted."""
    fields = tuple(replace(field, type=FieldType.OBJECT) for field in known_by("contacts", list(CONTACT)).fields)
    contact: Record = {
        "id": "1",
        "full_name": "Ann",
        "email": ["a@x.test", "b@x.test", None, {"c": 1}],
        "phone": 6281234567890,
        "company_name": {"name": "Ends"},
        "job_title": True,
        "address": "",
        "born_on": "0000-00-00",
        "language": ["en_US", "English, a little"],
        "tags": "vip",
    }
    at = {"id": "2", "full_name": "Bob", "born_on": "1990-02-03T00:00:00.000000Z"}
    out = MemorySink()
    writer = vcard_form.open(out)
    writer.begin("exporter", replace(known_by("contacts", list(CONTACT)), fields=fields))
    writer.write([contact, at, {"id": "3", "company_name": "Ends"}, {"id": "4"}])

    assert writer.close() == {"values_left": 4, "rows_cut": 1}
    lines = bytes(out.files["contacts.vcf"]).decode().split("\r\n")
    assert [line for line in lines if not line.startswith(("UID", "VERSION", "BEGIN", "END"))] == [
        *("FN:Ann", "EMAIL:a@x.test", "EMAIL:b@x.test", "TEL;VALUE=text:6281234567890", "BDAY;VALUE=text:0000-00-00"),
        *("LANG:en-US", "CATEGORIES:vip", "FN:Bob", "BDAY:19900203T000000Z", ""),
    ]


def test_control_characters_are_signs_and_counted() -> None:
    """No content line and no header may have them, and a reader sees that the text is not as it was."""
    odd = "a\x00b\x1b\x7f\tc"
    cases: list[tuple[WriterFormat, Dataset, Record, str]] = [
        (vcard_form, known_by("contacts", list(CONTACT)), {"id": "1", "full_name": odd}, "FN"),
        (calendar_form, known_by("activities", list(MEETING)), {**MEETING, "body": odd}, "DESCRIPTION"),
    ]
    for form, described, record, name in cases:
        out = MemorySink()
        writer = form.open(out)
        writer.begin("exporter", described)
        writer.write([record])
        assert writer.close() == {"controls_replaced": 1}
        (body,) = out.files.values()
        assert f"\r\n{name}:a\u2400b\u241b\u2421\tc\r\n" in body.decode()


def test_lines_are_folded_between_characters() -> None:
    """No line has more than 75 octets, and each is valid UTF-8 by itself."""
    body = folded(["NOTE:" + "é\U0001f600" * 100])
    assert max(len(line) for line in body.split(b"\r\n")) <= 75
    assert [line.decode() for line in body.split(b"\r\n")]
    assert body.replace(b"\r\n ", b"").decode() == "NOTE:" + "é\U0001f600" * 100 + "\r\n"


def test_folding_takes_as_long_as_the_text_is() -> None:
    """16 MB take a fifth of a second. Before, each fold copied the rest of the text: they took a minute and a half."""
    began = time.monotonic()
    assert folded(["NOTE:" + "\u00e9" * (8 << 20)]).count(b"\r\n") == 1 + 226_719
    assert time.monotonic() - began < 10


MEETING: dict[str, JSON] = {
    "id": "act_1",
    "kind": "meeting",
    "subject": "Plans; prices, and \\ more",
    "body": "Bring:\n- a pen",
    "occurred_at": "2026-03-01T15:30:05+07:00",
    "created_at": "2026-02-01T00:00:00Z",
}


def test_icalendar_reads_every_meeting() -> None:
    """A meeting is an event in UTC; mails and notes are left out."""
    mail = {**MEETING, "id": "act_2", "kind": "email"}
    files = written_files(calendar_form, [(known_by("activities", list(MEETING)), [[MEETING, mail]])])
    calendar = icalendar.Calendar.from_ical(files["appointments.ics"])
    (event,) = calendar.walk("VEVENT")
    assert calendar.errors == event.errors == []
    assert str(event["SUMMARY"]) == MEETING["subject"]
    assert str(event["DESCRIPTION"]) == MEETING["body"]
    assert event.decoded("DTSTART") == datetime(2026, 3, 1, 8, 30, 5, tzinfo=UTC)
    assert event.decoded("DTSTAMP") == datetime(2026, 2, 1, tzinfo=UTC)


def test_a_meeting_without_time_is_counted() -> None:
    """It cannot be in a calendar; the archive says how many."""
    out = MemorySink()
    writer = calendar_form.open(out)
    writer.begin("crm", known_by("activities", list(MEETING)))
    writer.write([{**MEETING, "occurred_at": value} for value in (None, "soon", "2026-03-01T08:30:05")])
    assert (writer.close(), out.files) == ({"without_time": 3}, {})


def test_a_kind_may_be_of_any_type() -> None:
    """Another source may have an object or a number under this name. Before, its exports ended with a traceback."""
    for kind, value in ((FieldType.OBJECT, ["meeting"]), (FieldType.OBJECT, {"a": 1}), (FieldType.INTEGER, 1)):
        fields = tuple(
            replace(field, type=kind) if field.name == "kind" else field
            for field in known_by("activities", list(MEETING)).fields
        )
        odd = replace(known_by("activities", list(MEETING)), fields=fields)
        assert written_files(calendar_form, [(odd, [[{**MEETING, "kind": value}]])]) == {}


def test_a_year_has_four_digits() -> None:
    """Databases have 0001-01-01 where a time is unknown. Before, programs refused the calendar and the card."""
    early = {**MEETING, "occurred_at": "0001-01-01T08:00:00Z", "created_at": "0999-12-31T23:59:59Z"}
    body = written_files(calendar_form, [(known_by("activities", list(early)), [[early]])])["appointments.ics"]
    (event,) = icalendar.Calendar.from_ical(body).walk("VEVENT")
    assert event.errors == []
    assert event.decoded("DTSTART") == datetime(1, 1, 1, 8, tzinfo=UTC)
    assert event.decoded("DTSTAMP") == datetime(999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert b"REV:00010101T000000Z\r\n" in cards({**CONTACT, "updated_at": "0001-01-01T00:00:00Z"})


def test_what_a_meeting_cannot_have_is_counted() -> None:
    """An end before the beginning or at no time, and a place that is JSON; an end at the beginning says nothing."""
    fields = ["id", "subject", "starts_at", "ends_at", "tags"]
    described = known_by("visits", fields)
    place = replace(described, fields=(*described.fields[:4], replace(described.fields[4], name="location")))
    record: Record = {"id": "1", "starts_at": "2026-03-01T08:00:00Z"}
    out = MemorySink()
    writer = calendar_form.open(out)
    writer.begin("exporter", place)
    ends = ["2026-03-01T07:59:59Z", "soon", "2026-03-01T08:00:00Z", None]
    writer.write([{**record, "ends_at": end, "location": {"room": 1}} for end in ends])

    assert writer.close() == {"values_left": 6}
    assert b"DTEND" not in out.files["appointments.ics"]


def test_what_a_message_cannot_have_is_counted() -> None:
    """A text that is an object has no place in it, and a header has signs for control characters."""
    described = known_by("inquiries", list(INQUIRY))
    objects = tuple(
        replace(field, type=FieldType.OBJECT) if field.name in {"name", "message"} else field
        for field in described.fields
    )
    out = MemorySink()
    writer = eml.format.open(out)
    writer.begin("exporter", replace(described, fields=objects))
    writer.write([{**INQUIRY, "name": {"first": "Ann"}, "message": {"html": "<b>"}, "subject": "a\0b"}])

    assert writer.close() == {"values_left": 2, "controls_replaced": 1}
    (body,) = out.files.values()
    assert email.message_from_bytes(bytes(body), policy=default)["Subject"] == "a\u2400b"


def test_an_end_is_after_the_beginning() -> None:
    """DTEND before DTSTART is invalid, so it is left out."""
    fields = ["id", "subject", "starts_at", "ends_at"]
    times = [("2026-03-01T08:00:00Z", "2026-03-01T09:00:00Z"), ("2026-03-01T08:00:00Z", "2026-03-01T08:00:00Z")]
    records = [{"id": str(n), "starts_at": begin, "ends_at": end} for n, (begin, end) in enumerate(times)]
    body = written_files(calendar_form, [(known_by("visits", fields), [records])])["appointments.ics"]
    assert ["DTEND" in event for event in icalendar.Calendar.from_ical(body).walk("VEVENT")] == [True, False]


INQUIRY: dict[str, JSON] = {
    "id": "inq/1",
    "email": "ann@example.test",
    "name": "Ann\r\nBcc: eve@example.test",
    "subject": "Halo \u05e9\u05dc\u05d5\u05dd " + "very long " * 30,
    "message": "From here\n.\r\n=1+1 \U0001f600",
    "created_at": "2026-03-01T08:30:05Z",
}
REPLY: dict[str, JSON] = {"id": "rep_1", "inquiry_id": "inq/1", "author": "staff", "body": "Yes.", "sent_at": None}


def rebuilt(*batches: tuple[Dataset, list[Record]]) -> list[EmailMessage]:
    files = written_files(eml.format, [(dataset, [records]) for dataset, records in batches])
    return [email.message_from_bytes(body, policy=default) for body in files.values()]


def test_email_reads_every_message() -> None:
    """A text of any characters arrives whole, no header is injected, and a reply follows its inquiry."""
    inquiry, reply = rebuilt(
        (known_by("inquiries", list(INQUIRY)), [INQUIRY]), (known_by("replies", list(REPLY)), [REPLY])
    )
    assert inquiry.defects == reply.defects == []
    assert inquiry["Subject"] == INQUIRY["subject"]
    assert inquiry["Bcc"] is None
    assert inquiry["From"].addresses[0].addr_spec == "ann@example.test"
    assert inquiry["Date"].datetime == datetime(2026, 3, 1, 8, 30, 5, tzinfo=UTC)
    assert inquiry.get_content().splitlines() == ["From here", ".", "=1+1 \U0001f600"]
    assert inquiry["X-Rebuilt-From"] == "exporter/inquiries"
    assert reply["In-Reply-To"] == inquiry["Message-ID"]


@pytest.mark.parametrize(
    "text",
    [
        *(
            " lead",
            "trail ",
            "two  blanks",
            "two  blanks " + "far " * 30 + " behind",
            "no\u00a0break",
            "\u5c71\u7530\u3000\u592a\u90ce",
        ),
        *(
            "a\u2028b\u2029c",
            "a\x85b",
            "=?utf-8?B?YWJj?=",
            "a =?utf-8?Q?x?= b",
            '"q", <a@b.test>;',
            "\ufeffx",
            "x" * 2000,
        ),
    ],
)
def test_a_header_has_its_text_as_it_was(text: str) -> None:
    """Also blanks of any kind, which encoded words keep. Before, all of them became one space, and nothing said so."""
    out = MemorySink()
    writer = eml.format.open(out)
    writer.begin("exporter", known_by("inquiries", list(INQUIRY)))
    writer.write([{**INQUIRY, "subject": text, "name": text}])

    assert writer.close() == {}
    message = email.message_from_bytes(bytes(*out.files.values()))
    assert header_text(re.sub(r"\r\n(?=[ \t])", "", message["Subject"])) == text
    name, _address = parseaddr(re.sub(r"\r\n(?=[ \t])", "", message["From"]))
    assert header_text(name) == text


def header_text(value: str) -> str:
    """Read encoded words as RFC 2047 says: the modern policies of `email` have spaces between those of a name."""
    return str(make_header(decode_header(value)))


@pytest.mark.parametrize("text", ["a\r\nBcc: eve@x.test", "a\nb", "a\rb", "a\tb", "\x1c\x1d\x1e\x1fz", "\x0b\x0cq"])
def test_a_line_end_in_a_header_is_a_sign_and_counted(text: str) -> None:
    """As every control character is. Before, some of them vanished, and nothing said so."""
    out = MemorySink()
    writer = eml.format.open(out)
    writer.begin("exporter", known_by("inquiries", list(INQUIRY)))
    writer.write([{**INQUIRY, "subject": text, "name": "Ann"}])

    assert writer.close() == {"controls_replaced": 1}
    message = email.message_from_bytes(bytes(*out.files.values()), policy=default)
    assert message["Subject"] == "".join(chr(0x2400 + ord(one)) if one < " " else one for one in text)
    assert message["Bcc"] is None


def test_messages_with_one_id_are_different_messages() -> None:
    """Numbers of rows are such ids. Before, a mail program took reply 1 for inquiry 1, and threads had a circle."""
    texts: list[JSON] = ["1", "1", "2"]
    inquiries, replies = list(INQUIRY), list(REPLY)
    batches: list[tuple[Dataset, list[Record]]] = [
        (known_by("inquiries", inquiries), [{**INQUIRY, "id": one} for one in ("1", "2")]),
        (known_by("replies", replies), [{**REPLY, "id": str(n), "inquiry_id": one} for n, one in enumerate(texts)]),
    ]
    first, second, *answers = rebuilt(*batches)

    assert len({str(one["Message-ID"]) for one in (first, second, *answers)}) == 5
    assert [str(one["In-Reply-To"]) for one in answers] == [first["Message-ID"]] * 2 + [second["Message-ID"]]


@pytest.mark.parametrize("sent", ["0001-01-01T00:00:00Z", "1899-12-31T23:59:59Z", "soon", None])
def test_a_message_without_a_valid_date_is_of_1970(sent: str | None) -> None:
    """A date is obligatory and begins in 1900; readers take the year 0001 for 2001."""
    (message,) = rebuilt((known_by("inquiries", list(INQUIRY)), [{**INQUIRY, "created_at": sent}]))
    assert message["Date"].datetime == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("address", [None, "", "no address", "a@b@c", "<a@b>", "a b@c.test", "\u2603@x.test"])
def test_a_wrong_address_is_no_fault(address: str | None) -> None:
    """The message then has an address that cannot exist."""
    (message,) = rebuilt((known_by("inquiries", list(INQUIRY)), [{**INQUIRY, "email": address}]))
    assert message["From"].addresses[0].addr_spec in {"unknown@portability.invalid", "\u2603@x.test"}


@pytest.mark.parametrize("address", ["(c)a@b.test", "a(c)@b.test", "a @b.test", "a@ b.test", '""@b.test'])
def test_an_address_that_programs_read_as_another_is_behind_the_name(address: str) -> None:
    """A comment and blanks of an address are lost when it is read. Before, the message had another address."""
    (message,) = rebuilt((known_by("inquiries", list(INQUIRY)), [{**INQUIRY, "name": "Ann", "email": address}]))
    (sender,) = message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (f"Ann {address}", "unknown@portability.invalid")


def test_a_volume_has_a_bounded_number_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are only in the tables, and counted."""
    monkeypatch.setattr(eml, "FILES_MAX", 2)
    out = MemorySink()
    writer = eml.format.open(out)
    writer.begin("exporter", known_by("inquiries", list(INQUIRY)))
    writer.write([{**INQUIRY, "id": str(number), "name": "Ann"} for number in range(5)])
    assert (len(out.files), writer.close()) == (2, {"rows_cut": 3})
