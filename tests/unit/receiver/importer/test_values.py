from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Column

from exporters.reference import schema
from receiver.importer.values import Reason, Refused, bindable, canonical, converter_of, is_same

CALLS, RECORDINGS, CONTACTS = schema.calls.c, schema.recordings.c, schema.contacts.c
TRANSCRIPTS = schema.transcripts.c
DIGITS = "-12345678901234567890.123456789012345678901"


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (CALLS.outcome, "", ""),
        (CALLS.outcome, None, None),
        (CALLS.cost, "0.10", Decimal("0.10")),
        (CALLS.cost, DIGITS, Decimal(DIGITS)),
        (RECORDINGS.bytes, "9223372036854775807", 2**63 - 1),
        (RECORDINGS.bytes, 7, 7),
        (CALLS.duration_seconds, 3, 3.0),
        (CALLS.duration_seconds, "9007199254740994", 9007199254740994.0),
        (CALLS.started_at, "2026-01-02T03:04:05.000006Z", datetime(2026, 1, 2, 3, 4, 5, 6, UTC)),
        (CALLS.started_at, "2026-01-02T03:04:05.000006000Z", datetime(2026, 1, 2, 3, 4, 5, 6, UTC)),
        (CALLS.started_at, "2026-01-02T03:04:05+07:00", datetime(2026, 1, 1, 20, 4, 5, 0, UTC)),
        (CONTACTS.born_on, "0001-01-01", date(1, 1, 1)),
        (CALLS.custom, {"b": [1, None]}, {"b": [1, None]}),
        (CALLS.custom, False, False),
    ],
)  # fmt: skip
def test_values_are_restored_exactly(column: Column[Any], value: Any, expected: object) -> None:
    """The very value that the exporter read, on both databases."""
    for dialect in ("sqlite", "postgresql"):
        found = converter_of(column, dialect)(value)
        assert (found, type(found)) == (expected, type(expected))
    assert format(Decimal("0.10"), "f") == format(converter_of(CALLS.cost, "sqlite")("0.10"), "f")


def test_null_of_json_is_null() -> None:
    """Not JSON's own null, which another query would find."""
    assert converter_of(CALLS.custom, "sqlite")(None) is None
    assert str(bindable(CALLS.custom, None)) == "NULL"
    assert bindable(CALLS.outcome, None) is None


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (CALLS.outcome, 1, Reason.WRONG_TYPE),
        (CALLS.cost, "NaN", Reason.WRONG_TYPE),
        (CALLS.cost, "1" * 2000, Reason.WRONG_TYPE),
        (RECORDINGS.bytes, 2**63, Reason.OUT_OF_RANGE),
        (RECORDINGS.bytes, "1e3", Reason.WRONG_TYPE),
        (RECORDINGS.bytes, 1.0, Reason.WRONG_TYPE),
        (RECORDINGS.bytes, True, Reason.WRONG_TYPE),
        (CALLS.duration_seconds, float("inf"), Reason.OUT_OF_RANGE),
        (CALLS.duration_seconds, "9007199254740993", Reason.OUT_OF_RANGE),
        (CALLS.duration_seconds, 9007199254740993, Reason.OUT_OF_RANGE),
        (CALLS.started_at, 0, Reason.WRONG_TYPE),
        (CALLS.started_at, "2026-01-02T03:04:05.1234567Z", Reason.OUT_OF_RANGE),
        (CALLS.started_at, "2026-01-02T03:04:05.000000001+07:00", Reason.OUT_OF_RANGE),
        (CONTACTS.born_on, "2026-W01-1", Reason.WRONG_TYPE),
        (CONTACTS.born_on, "2026-02-30", Reason.WRONG_TYPE),
        (CALLS.custom, {"a": float("nan")}, Reason.OUT_OF_RANGE),
        (CALLS.custom, json.loads("[" * 202 + "]" * 202), Reason.OUT_OF_RANGE),
        (CALLS.direction, None, Reason.MISSING_VALUE),
    ],
)
def test_what_a_column_cannot_hold_is_refused(column: Column[Any], value: Any, reason: Reason) -> None:
    """Nothing is rounded, cut or guessed."""
    for dialect in ("sqlite", "postgresql"):
        with pytest.raises(Refused) as caught:
            converter_of(column, dialect)(value)
        assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        (TRANSCRIPTS.position, 2**31, Reason.OUT_OF_RANGE),
        (CALLS.outcome, "a\0b", Reason.NUL_CHARACTER),
        (CALLS.custom, [{"a\0b": 1}], Reason.NUL_CHARACTER),
    ],
)
def test_what_postgresql_cannot_hold_is_refused_there_alone(column: Column[Any], value: Any, reason: Reason) -> None:
    """SQLite takes it as it is."""
    assert converter_of(column, "sqlite")(value) == value
    with pytest.raises(Refused) as caught:
        converter_of(column, "postgresql")(value)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("column", "stored", "value", "same"),
    [
        (CALLS.cost, Decimal("1.0"), Decimal("1.00"), False),
        (CALLS.cost, Decimal("1.0"), Decimal("1.0"), True),
        (CALLS.custom, {"a": 1, "b": 2}, {"b": 2, "a": 1.0}, True),
        (CALLS.custom, {"a": 1}, {"a": True}, False),
        (CALLS.custom, None, None, True),
        (CALLS.outcome, None, "", False),
        (CALLS.outcome, "", None, False),
    ],
)
def test_the_same_is_the_same_to_the_digit(column: Column[Any], stored: object, value: object, same: bool) -> None:
    """But for what a database may do to JSON: order of names, and 1.0."""
    assert is_same(column, stored, value) is same


def test_one_text_for_one_value() -> None:
    """RFC 8785: names in order, no spaces, numbers as JavaScript writes the integers among them."""
    assert canonical({"b": [1.0, -0.0, 0.5], "a": "\u00e9"}) == '{"a":"\u00e9","b":[1,0,0.5]}'
