"""iCalendar (RFC 5545): the meetings of a volume as one file, for a calendar (docs/forms.md).

A dataset is one of meetings if it has `starts_at`, or `occurred_at` and `kind`: then only records of the kinds MEETINGS
become events. The others of its fields that an event has are `ends_at`, `subject`, `body` and `location`.
"""

from __future__ import annotations

from collections.abc import Iterator

from formats.content_lines import Lines, LinesWriter, Make, NotWritable, escaped, utc
from formats.known_texts import Losses, first_text, left
from portability.api import Dataset, FormatWriter, Record, Sink, Unit

NAME = "appointments.ics"
MEETINGS = frozenset({"meeting", "appointment", "callback"})
_HEAD = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//portability//portability 1//EN")
_FOOT = ("END:VCALENDAR",)


class Icalendar:
    """The form `icalendar`."""

    unit = Unit.VOLUME

    @property
    def suffix(self) -> str:
        return ".ics"

    @property
    def media_type(self) -> str:
        return "text/calendar"

    def open(self, out: Sink) -> FormatWriter:
        """Begin a calendar; without a meeting it has no file."""
        return LinesWriter(out, NAME, _knows, _HEAD, _FOOT)


def _knows(dataset: Dataset) -> Make | None:
    names = {field.name for field in dataset.fields}
    if "starts_at" in names:
        return _event
    return _meeting if {"kind", "occurred_at"} <= names else None


def _meeting(record: Record, identifier: str, losses: Losses) -> Lines:
    is_meeting = str(record["kind"]) in MEETINGS  # a source may have any type under this name
    return _event({**record, "starts_at": record["occurred_at"]}, identifier, losses) if is_meeting else ()


def _event(record: Record, identifier: str, losses: Losses) -> Iterator[str]:
    begin = utc(record["starts_at"])
    if begin is None:
        raise NotWritable("without_time")
    stamp = utc(record.get("updated_at")) or utc(record.get("created_at")) or begin
    yield from ("BEGIN:VEVENT", f"UID:{identifier}", f"DTSTAMP:{stamp}", f"DTSTART:{begin}")
    # An end must be after the beginning; an event without an end ends at its beginning.
    end = utc(record["ends_at"]) if record.get("ends_at") is not None else begin
    if end and end > begin:
        yield f"DTEND:{end}"
    elif end != begin:
        left(losses)
    for name, field in (("SUMMARY", "subject"), ("DESCRIPTION", "body"), ("LOCATION", "location")):
        if text := first_text(record, field, losses):
            yield f"{name}:{escaped(text, ';')}"
    yield "END:VEVENT"


format = Icalendar()  # noqa: A001  # the name in the entry point and the plug-in guide
