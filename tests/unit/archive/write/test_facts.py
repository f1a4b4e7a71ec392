"""A schema states only what was seen to be true of every record of the volume."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import pytest

from archive.write import facts
from archive.write.facts import VolumeFacts
from portability.api import Dataset, Field, FieldType, FieldValue, Provenance, Record, Role


def _text(name: str, **more: object) -> Field:
    return Field(name, FieldType.STRING, "A text.", Provenance.PROVIDED, **more)  # type: ignore[arg-type]  # as given


def _table_of(name: str, *fields: Field) -> Dataset:
    return Dataset(name, name, "Records.", (_text("id"), *fields), Provenance.PROVIDED, Role.CONTROLLER, ("id",))


STATUS = _text("status", values=(FieldValue("open", "Open"), FieldValue("closed", "Closed")))
CALLS = _table_of("calls", STATUS)
PARTS = _table_of("parts", _text("call_id", refers_to="made/calls"))


def _taken(found: VolumeFacts, dataset: Dataset, records: Sequence[Record]) -> None:
    columns = {field.name: [record.get(field.name) for record in records] for field in dataset.fields}
    found.add("made", dataset, columns)


def _facts(calls: Sequence[Record], parts: Sequence[Record]) -> VolumeFacts:
    found = VolumeFacts()
    for record in calls:
        _taken(found, CALLS, [record])
    _taken(found, PARTS, parts)
    return found


@pytest.mark.parametrize(
    ("written", "known"), [(["open", None, "closed"], True), (["open", "OPEN"], False), (["open", ""], False)]
)
def test_an_enumeration_is_stated_if_no_record_has_another_value(written: list[str | None], known: bool) -> None:
    """NULL is allowed; one other value anywhere in the volume, and the field is a text like any other."""
    found = _facts([{"id": str(place), "status": word} for place, word in enumerate(written)], [])

    assert found.has_known_values("made", CALLS, "status") is known
    assert found.has_known_values("made", CALLS, "id") is False


@pytest.mark.parametrize(("calls", "key"), [([None, "1", "2"], "id"), (["1", "3"], None)])
def test_a_reference_is_stated_if_each_leads_to_a_record(calls: list[str | None], key: str | None) -> None:
    """Records 1 and 2 are in the volume: a reference to 3, which a gap may have taken away, is not stated."""
    parts: list[Record] = [{"id": f"p{place}", "call_id": call} for place, call in enumerate(calls)]

    assert _facts([{"id": "1"}, {"id": "2"}], parts).key_of("made", PARTS, "call_id") == key


def test_nothing_is_stated_about_records_that_were_not_seen() -> None:
    """A volume whose records no one compared, and a target that is in another volume."""
    nothing, only_parts = VolumeFacts(), VolumeFacts()
    _taken(only_parts, PARTS, [{"id": "p1", "call_id": None}])

    assert nothing.has_known_values("made", CALLS, "status") is False
    assert nothing.key_of("made", PARTS, "call_id") is None
    assert only_parts.key_of("made", PARTS, "call_id") is None


def test_a_large_volume_states_no_references() -> None:
    """Keys are in memory, so their number is bounded; enumerations are stated still."""
    calls: list[Record] = [{"id": str(number), "status": "open"} for number in range(4)]
    with patch.object(facts, "COMPARED_MAX", 5):
        few = _facts(calls, [{"id": "p", "call_id": "1"}][:0])
        many = _facts(calls, [{"id": "p1", "call_id": "1"}, {"id": "p2", "call_id": "1"}])

    assert few.key_of("made", PARTS, "call_id") == "id"
    assert many.key_of("made", PARTS, "call_id") is None
    assert many.has_known_values("made", CALLS, "status") is True


def test_facts_of_pieces_add_up_to_those_of_their_volume() -> None:
    """Each piece is looked at alone: the volume states what is true of all of them, and is bounded by their sum."""
    volume = _facts([{"id": "1", "status": "open"}], [])
    volume.absorb(
        _facts([{"id": "2", "status": "closed"}], [{"id": "p1", "call_id": "1"}, {"id": "p2", "call_id": "2"}])
    )
    assert volume.key_of("made", PARTS, "call_id") == "id"
    assert volume.has_known_values("made", CALLS, "status") is True

    volume.absorb(_facts([{"id": "3", "status": "OPEN"}], [{"id": "p3", "call_id": "4"}]))
    stated = (volume.key_of("made", PARTS, "call_id"), volume.has_known_values("made", CALLS, "status"))
    assert stated == (None, False)

    one, more = _facts([{"id": "1"}], []), _facts([{"id": "2"}], [{"id": "p1", "call_id": "1"}])
    with patch.object(facts, "COMPARED_MAX", 3):
        one.absorb(more)
    stated = (one.key_of("made", PARTS, "call_id"), one.has_known_values("made", CALLS, "status"))
    assert stated == (None, True)
