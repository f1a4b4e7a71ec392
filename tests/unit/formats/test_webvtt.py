"""Transcripts as WebVTT: every segment of a call is a cue, in the order of the call."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from formats import webvtt
from formats.webvtt import format as subtitles
from portability.api import Dataset, Field, FieldType, FieldValue, Provenance, Record, Role
from portability.testing.forms import MemorySink, written_files

SPEAKERS = (FieldValue("ai_agent", "AI agent"),)
SEGMENTS = Dataset(
    "transcripts",
    "Transcripts",
    "What was said.",
    (
        Field("id", FieldType.STRING, "Its id.", Provenance.OBSERVED),
        Field("call_id", FieldType.STRING, "The call.", Provenance.OBSERVED),
        Field("speaker", FieldType.STRING, "Who spoke.", Provenance.OBSERVED, values=SPEAKERS),
        Field("starts_seconds", FieldType.NUMBER, "Its beginning.", Provenance.OBSERVED),
        Field("ends_seconds", FieldType.NUMBER, "Its end.", Provenance.OBSERVED),
        Field("text", FieldType.STRING, "The words.", Provenance.OBSERVED),
    ),
    Provenance.OBSERVED,
    Role.BOTH,
    ("id",),
)


def _said(call: str | None, begin: float | None, end: float | None, text: str | None, speaker: str = "") -> Record:
    values = {"id": "s", "call_id": call, "speaker": speaker or None}
    return {**values, "starts_seconds": begin, "ends_seconds": end, "text": text}


def _subtitles_of(*segments: Record) -> dict[str, str]:
    found = written_files(subtitles, [(SEGMENTS, [segments])])
    return {name: body.decode() for name, body in found.items()}


def test_each_call_is_a_file_of_its_segments() -> None:
    """Cues in the order of their beginnings, with who spoke; markup and empty lines of a text cannot end a cue."""
    files = _subtitles_of(
        _said("call_1", 3725.5, None, "Bye & thanks", "Speaker 1"),
        _said("call_1", 0.0, 1.25, "Hello\n\n00:00 --> <b>you</b>", "ai_agent"),
        _said("call_1", 2.0, 2.0, "Yes"),
        _said("call_2", 0.0, 1.0, "Halo"),
    )

    assert files == {
        "transcripts/exporter/call_1.vtt": "WEBVTT\n\n"
        "00:00:00.000 --> 00:00:01.250\n<v AI agent>Hello 00:00 --&gt; &lt;b&gt;you&lt;/b&gt;\n\n"
        "00:00:02.000 --> 01:02:05.500\nYes\n\n"
        "01:02:05.500 --> 01:02:10.500\n<v Speaker 1>Bye &amp; thanks\n",
        "transcripts/exporter/call_2.vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nHalo\n",
    }


def test_segments_without_time_or_words_are_no_cues() -> None:
    """A call without any other segment has no file: the tables have them."""
    nothing = [_said("call_1", None, 1.0, "x"), _said("call_1", 1.0, 2.0, " "), _said("call_1", -1.0, 2.0, "x")]

    assert _subtitles_of(*nothing) == {}


def test_seconds_are_decimals_too() -> None:
    """Databases have NUMERIC columns for seconds; a number that is not within a call is not a time."""
    fields = tuple(
        replace(field, type=FieldType.DECIMAL) if field.name.endswith("_seconds") else field
        for field in SEGMENTS.fields
    )
    times = [("1.50", "2.250"), ("1E+400", None), ("-0.5", "1"), ("1E+9", "NaN"), ("1000000001", None)]
    records = [_said("call_1", None, None, text) for text in "abcde"]
    decimals = [
        {**record, "starts_seconds": begin, "ends_seconds": end}
        for record, (begin, end) in zip(records, times, strict=True)
    ]

    found = written_files(subtitles, [(replace(SEGMENTS, fields=fields), [decimals])])

    assert found["transcripts/exporter/call_1.vtt"].decode() == (
        "WEBVTT\n\n00:00:01.500 --> 00:00:02.250\na\n\n277777:46:40.000 --> 277777:46:45.000\nd\n"
    )


def test_a_number_that_is_no_second_does_not_end_an_export() -> None:
    """A source may have any number: before, the largest of them ended it with a traceback."""
    large = [_said("call_1", begin, begin, "x") for begin in (1e306, 10**400)]

    assert _subtitles_of(*large) == {}


def test_control_characters_are_signs_and_counted() -> None:
    """A player shows U+FFFD for NUL; the archive says which texts are not as they were said."""
    out = MemorySink()
    writer = subtitles.open(out)
    writer.begin("exporter", SEGMENTS)
    writer.write([_said("call_1", 0.0, 1.0, "a\0b\tc\x1b\x7f", "Ann\0")])

    assert writer.close() == {"controls_replaced": 1}
    assert "\n<v Ann\u2400>a\u2400b c\u241b\u2421\n" in bytes(out.files["transcripts/exporter/call_1.vtt"]).decode()


def test_segments_of_calls_at_the_same_time_are_in_the_file_of_their_call() -> None:
    """Ids of segments need not have the order of calls. Before, each change of the call began a further file of it."""
    both = [_said(f"call_{number % 2}", float(number), None, f"said {number}") for number in range(4)]
    out = MemorySink()
    writer = subtitles.open(out)
    for part in (both[:3], both[3:]):
        writer.begin("calls", SEGMENTS)
        writer.write(part)
        writer.begin("calls", replace(SEGMENTS, name="others", fields=SEGMENTS.fields[:1]))

    assert writer.close() == {}
    assert {name: bytes(body).count(b"-->") for name, body in out.files.items()} == {
        "transcripts/calls/call_0.vtt": 2,
        "transcripts/calls/call_1.vtt": 2,
    }


def test_what_comes_after_the_file_of_its_call_is_counted() -> None:
    """Few cues are in memory: of more, the call that began first is written, and the calls after it are whole."""
    out = MemorySink()
    with patch.object(webvtt, "HELD_BYTES", 2 * webvtt.CUE_BYTES + 10):
        writer = subtitles.open(out)
        writer.begin("calls", SEGMENTS)
        for call, text in (("a", "1"), ("b", "2"), ("c", "3"), ("a", "4"), ("c", "5")):
            writer.write([_said(call, 0.0, 1.0, text)])

        assert writer.held <= 2 * webvtt.CUE_BYTES + 10
        assert writer.close() == {"rows_cut": 1}
    assert {name[-5]: bytes(body).count(b"-->") for name, body in out.files.items()} == {"a": 1, "b": 1, "c": 2}


def test_calls_beyond_the_bound_are_counted() -> None:
    """As many files as a volume may have; the records of the others are losses."""
    out = MemorySink()
    with patch.object(webvtt, "FILES_MAX", 1):
        writer = subtitles.open(out)
        writer.begin("calls", SEGMENTS)
        writer.write([_said("call_1", 0.0, 1.0, "a"), _said("call_2", 0.0, 1.0, "b"), _said("call_2", 1.0, 2.0, "c")])

        assert writer.held == 1 + webvtt.CUE_BYTES
        assert writer.close() == {"rows_cut": 2}
    assert (list(out.files), writer.held) == (["transcripts/calls/call_1.vtt"], 0)
